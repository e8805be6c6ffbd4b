"""What every store does; a second implementation is one more parameter of the fixture."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from tests.store_kit import DESK, FINGERPRINT, JOB, OWNER, PLAN, probe, run

from lutfarm.records.device_state import DeviceEvent
from lutfarm.records.job import JobCounts, JobRemoved
from lutfarm.store import Store
from lutfarm_agents import process_identity
from lutfarm_jobs.errors import SpecError, StoreError
from lutfarm_jobs.round import Artifact, Lease
from lutfarm_jobs.run import Failure, Run

KEYS = [m.key for m in PLAN]


def test_a_plan_grows_at_its_end_by_what_it_does_not_have(store: Store) -> None:
    moved = replace(PLAN[0], device="other")
    store.open_job(JOB, PLAN)
    store.extend_plan(JOB.id, [moved, PLAN[1]])
    store.extend_plan(JOB.id, [moved])
    assert list(store.measurements(JOB.id)) == [*PLAN, moved]
    store.open_job(replace(JOB, id="job-empty"), ())
    store.extend_plan("job-empty", [moved])
    assert list(store.measurements("job-empty")) == [moved]


def test_a_job_is_opened_once(store: Store) -> None:
    assert store.open_job(JOB, PLAN) == JOB
    assert store.open_job(replace(JOB, created_s=999.0), PLAN[:1]) == JOB
    longer = replace(JOB, spec_json='{"name": "longer"}')
    assert store.open_job(replace(longer, created_s=999.0), PLAN[:1]) == longer, "how long it goes on is no part of its id"
    assert store.job(JOB.id) == (longer, JobCounts(len(PLAN), 0, 0, 0))
    assert store.open_job(JOB, PLAN) == JOB
    assert tuple(store.measurements("job-1")) == PLAN
    store.close_job("job-1", "complete", "why")
    found = store.job("job-1")
    assert found is not None
    assert (found[0].state, found[0].reason) == ("complete", "why")


def test_a_job_is_found_by_id_name_and_unique_start(store: Store) -> None:
    for number in (1, 2):
        store.open_job(replace(JOB, id=f"fbnet-{number}0", name="fbnet", created_s=float(number)), PLAN)

    def found(text: str) -> str | None:
        job = store.job(text)
        return None if job is None else job[0].id

    assert found("fbnet-10") == "fbnet-10"
    assert found("fbnet") == "fbnet-20"
    assert found("fbnet-2") == "fbnet-20"
    assert found("fbnet-") is None
    assert found("") is None
    assert found("fbnet-%") is None
    assert [job.id for job, _ in store.jobs()] == ["fbnet-20", "fbnet-10"]


def test_what_was_committed_is_there_after_reopening(store: Store, lease: Lease, reopen: Callable[[], Store]) -> None:
    done, bad = run(), run(KEYS[1], "failed", slices=())
    store.commit([done], lease, "job-1")
    store.commit([bad], lease, "job-1")
    other = reopen()
    assert other.farm_id == store.farm_id
    assert sorted(other.runs("job-1"), key=lambda r: r.key != done.key) == [done, bad]
    assert [r.slices for r in other.runs("job-1", samples=False)] == [(), ()]
    assert other.round_counts("job-1") == {KEYS[0]: {"complete": 1}, KEYS[1]: {"failed": 1}}


def test_jobs_go_on_behind_any_of_them_and_may_be_of_some_states(store: Store) -> None:
    made = [replace(JOB, id=f"many-{n}", created_s=at) for n, at in enumerate([5.0, 7.0, 5.0, 9.0, 5.0])]
    for one in made:
        store.open_job(one, PLAN[:1])
    store.close_job("many-2", "complete")
    known = [job.id for job, _ in store.jobs()]
    mine = [job_id for job_id in known if job_id.startswith("many-")]
    assert mine == ["many-3", "many-1", "many-0", "many-2", "many-4"]
    places = {job.id: (job.created_s, job.id) for job, _ in store.jobs()}
    for position, job_id in enumerate(known, start=1):
        behind = [job.id for job, _ in store.jobs(after=places[job_id])]
        assert behind == known[position:]
        assert [job.id for job, _ in store.jobs(most=2, after=places[job_id])] == behind[:2]
    assert [job.id for job, _ in store.jobs(states=["complete"])] == ["many-2"]
    assert [job.id for job, _ in store.jobs(states=["open", "complete"], most=3)] == known[:3]
    assert store.jobs(states=[]) == store.jobs(most=0) == []


def test_runs_are_listed_by_key_and_time_and_page_by_page_as_they_arrived(store: Store, lease: Lease) -> None:
    made = [
        run(key, started_s=at, id=one * 32)
        for key, at, one in zip([*KEYS[:1] * 3, KEYS[1]], [1.0, 1.0, 3.0, 0.5], "cabd", strict=True)
    ]
    made += [run(KEYS[0], started_s=2.0, id="f" * 32)]
    for one in made:
        store.commit([one], lease, "job-1")
    assert list(store.runs("job-1")) == sorted(made, key=lambda one: (one.key, one.started_s, one.id))
    arrived = list(store.arrived_runs("job-1", after=0, most=100))
    assert [one for _, one in arrived] == made
    for position, (number, _) in enumerate(arrived, start=1):
        assert list(store.arrived_runs("job-1", after=number, most=100)) == arrived[position:]
        assert list(store.arrived_runs("job-1", after=number, most=2)) == arrived[position : position + 2]
    assert [one.slices for _, one in store.arrived_runs("job-1", after=0, most=9, samples=False)] == [()] * len(made)
    assert not list(store.arrived_runs("job-2", after=0, most=9))


def test_a_failed_probe_counts_as_a_failed_measurement(store: Store, lease: Lease) -> None:
    store.commit([run()], lease, "job-1")
    store.commit_probe(probe(), lease, "job-1")
    store.commit_probe(probe(KEYS[1], failure=Failure("WorkloadFailed", "x")), lease, "job-1")
    assert store.round_counts("job-1") == {KEYS[0]: {"complete": 1}, KEYS[1]: {"failed": 1}}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("job-1", "job-1"),
        ("job", "job-1"),
        ("job-", "job-1"),
        ("jo", None),
        ("job-1x", None),
        ("", None),
        ("%", None),
        ("job_", None),
    ],
)
def test_a_job_is_found_by_id_by_name_and_by_the_start_of_its_id_where_that_is_one(
    store: Store, asked: str, found: str | None
) -> None:
    store.open_job(JOB, PLAN)
    store.open_job(replace(JOB, id="joc-2", name="other"), PLAN)
    got = store.job(asked)
    assert (got and got[0].id) == found


def test_the_same_run_again_changes_nothing(store: Store, lease: Lease) -> None:
    done = run()
    for _ in range(3):
        store.commit([done], lease, "job-1")
    assert list(store.runs("job-1")) == [done]
    more = [run(PLAN[n].key) for n in (0, 1)]
    store.commit([more[0], done, more[1], more[0]], lease, "job-1")
    store.commit([replace(done, slices=(), load_ns=1)], lease, "job-1")  # what is there is the record
    assert sorted(store.runs("job-1"), key=lambda one: one.id) == sorted([done, *more], key=lambda one: one.id)
    assert sum(counts["complete"] for counts in store.round_counts("job-1").values()) == 3


def test_a_round_has_one_run_of_a_measurement(store: Store, lease: Lease) -> None:
    done = run()
    store.commit([done], lease, "job-1")
    with pytest.raises(StoreError):
        store.commit([run(KEYS[1]), replace(run(), round_id=done.round_id)], lease, "job-1")
    assert list(store.runs("job-1")) == [done]


def test_nothing_of_a_batch_is_kept_where_it_can_not_all_be(store: Store, lease: Lease) -> None:
    with pytest.raises(StoreError):
        store.commit([run(), run(KEYS[1])], lease, "no such job")
    assert list(store.reusable(KEYS)) == []


def test_a_run_that_is_not_stored_is_not_adopted_in_silence_and_the_others_are(store: Store, lease: Lease) -> None:
    done = run()
    store.commit([done], lease, "job-1")
    store.open_job(replace(JOB, id="job-2", created_s=200.0), PLAN)
    assert list(store.adopt("job-2", ["f" * 32, done.id, "e" * 32, "f" * 32])) == ["f" * 32, "e" * 32]
    assert list(store.runs("job-2")) == [done]
    assert list(store.adopt("job-2", [done.id])) == []
    assert list(store.adopt("job-2", [])) == []
    with pytest.raises(StoreError):
        store.adopt("no such job", [done.id])


def test_runs_of_other_jobs_are_adopted_by_link(store: Store, lease: Lease) -> None:
    older, newer = run(started_s=1.0), run(started_s=2.0)
    for one in (older, newer, run(status="truncated"), run(status="failed")):
        store.commit([one], lease, "job-1")
    assert [found.id for found in store.reusable(KEYS)] == [newer.id, older.id]
    assert list(store.reusable([])) == []
    store.open_job(replace(JOB, id="job-2", created_s=200.0), PLAN)
    store.adopt("job-2", [newer.id])
    store.adopt("job-2", [newer.id])
    assert list(store.runs("job-2")) == [newer]
    counts = {job.id: c for job, c in store.jobs()}
    assert (counts["job-2"].runs, counts["job-2"].reused_runs) == (1, 1)
    assert (counts["job-1"].runs, counts["job-1"].reused_runs, counts["job-1"].failures) == (4, 0, 1)


def test_the_last_runs_of_a_device_are_its_newest_newest_first(store: Store, lease: Lease) -> None:
    by_start = {at: run(started_s=float(at), ended_s=at + 0.5) for at in (30, 10, 40, 20)}
    store.commit(list(by_start.values()), lease, "job-1")
    assert [found.id for found in store.last_runs("desk", most=2)] == [by_start[40].id, by_start[30].id]
    assert [found.started_s for found in store.last_runs("desk", most=9)] == [40.0, 30.0, 20.0, 10.0]
    assert list(store.last_runs("other", most=9)) == []


def test_threads_write_and_read_at_once_and_nothing_is_lost(store: Store) -> None:
    store.open_job(JOB, PLAN)

    def work(number: int) -> list[Run]:
        device, written = f"desk-{number}", list[Run]()
        held = store.acquire(device, owner=OWNER, holder="ann", now_s=100.0, ttl_s=60.0)
        assert isinstance(held, Lease)
        for batch in range(6):
            some = [run(device=device, fingerprint={"batch": str(batch)}) for _ in range(3)]
            store.commit(some, held, "job-1")
            written += some
            ids = {found.id for found in store.runs("job-1")}
            assert {one.id for one in written} <= ids
            store.step_device(device, DeviceEvent("seen", boot_id=f"b{batch}"), 100.0 + 3600 * batch)
        return written

    with ThreadPoolExecutor(8) as threads:
        written = [one for batch in threads.map(work, range(8)) for one in batch]
    assert sorted(store.runs("job-1"), key=lambda one: one.id) == sorted(written, key=lambda one: one.id)
    assert store.round_counts("job-1") == {KEYS[0]: {"complete": 144}}


def test_names_and_keys_are_sorted_by_code_points_and_told_apart_by_case(store: Store, lease: Lease) -> None:
    names = ["Z", "_", "a", "b", "\N{LATIN SMALL LETTER A WITH DIAERESIS}"]
    for name in reversed(names):
        store.put_device(replace(DESK, name=name))
    assert [device.name for device in store.devices()] == names
    keys = [KEYS[0].replace("conv_a", name) for name in names]
    store.commit([run(key) for key in reversed(keys)], lease, "job-1")
    assert [found.key for found in store.runs("job-1")] == keys
    assert store.job("JOB") is None


def test_a_text_that_no_database_can_hold_is_kept_with_marks_in_it(store: Store) -> None:
    store.step_device("desk", DeviceEvent("held", "x\0z"), 5.0)
    assert store.device_record("desk", 6.0).reason == "x\N{REPLACEMENT CHARACTER}z"
    store.put_device(replace(DESK, labels={"odd": "a\0b"}))
    assert [device.labels for device in store.devices()] == [{"odd": "a\0b"}]
    store.open_job(JOB, PLAN)
    lease = store.acquire("desk", owner=OWNER, holder="ann\0", now_s=100.0, ttl_s=60.0)
    assert isinstance(lease, Lease)
    failed = run(status="failed", slices=(), failure=Failure("WorkloadFailed", "segfault \0"), fingerprint={"os": "\0"})
    store.commit([failed], lease, "job-1")
    assert list(store.runs("job-1")) == [failed]


def test_each_run_comes_with_its_own_fingerprint_and_once(store: Store, lease: Lease) -> None:
    older, newer = (run(started_s=at, ended_s=at + 0.5, fingerprint={"runtime": f"1.3{at:g}"}) for at in (1.0, 2.0))
    store.commit([older, newer], lease, "job-1")
    wanted = [(newer.id, newer.fingerprint), (older.id, older.fingerprint)]
    assert [(found.id, found.fingerprint) for found in store.last_runs("desk", most=9)] == wanted
    assert [(found.id, found.fingerprint) for found in store.runs_after(0.0)] == wanted[::-1]


def test_a_removed_job_takes_what_no_other_job_reads_with_it(store: Store, lease: Lease) -> None:
    read, unread = run(), run(KEYS[1])
    store.commit([read, unread], lease, "job-1")
    store.commit_probe(probe(), lease, "job-1")
    store.commit_probe(probe(KEYS[1]), lease, "job-1")
    store.open_job(replace(JOB, id="job-2", created_s=200.0), PLAN)
    store.adopt("job-2", [read.id])
    store.commit_probe(probe(probed_s=2.0), lease, "job-2")
    store.release(lease)
    assert store.remove_job("job-1", 101.0) == JobRemoved(measurements=2, runs=1, runs_kept=1, probes=1)
    assert store.job("job-1") is None
    assert list(store.runs("job-1")) == [] == list(store.measurements("job-1"))
    assert list(store.runs("job-2")) == [read]  # with its fingerprint and its environments
    assert [found.id for found in store.reusable(KEYS)] == [read.id]
    assert store.probes(KEYS) == {KEYS[0]: [probe(probed_s=2.0)]}
    assert [job.id for job, _ in store.jobs()] == ["job-2"]
    assert len(store.canary_rounds("desk", PLAN[0].backend.key, "b1-steady")) == 1
    assert store.open_job(JOB, PLAN) == JOB


def test_a_removed_job_leaves_a_store_that_the_same_runs_can_come_to_again(store: Store, lease: Lease) -> None:
    done = [run(started_s=float(at)) for at in range(1200)]
    store.commit(done, lease, "job-1")
    store.release(lease)
    assert store.remove_job("job-1", 101.0).runs == 1200
    assert list(store.reusable(KEYS)) == []
    store.open_job(JOB, PLAN)
    again = store.acquire("desk", owner=OWNER, holder="ann", now_s=102.0, ttl_s=60.0, job_id="job-1")
    assert isinstance(again, Lease)
    store.commit(done[:2], again, "job-1")
    assert list(store.runs("job-1")) == done[:2]


def test_a_running_job_is_not_removed_and_one_that_ended_without_a_word_is(store: Store) -> None:
    store.open_job(JOB, PLAN)
    lease = store.acquire("desk", owner=OWNER, holder="ann", now_s=100.0, ttl_s=60.0, job_id="job-1")
    assert isinstance(lease, Lease)
    with pytest.raises(SpecError, match="job-1 is running: it holds desk; end that run first"):
        store.remove_job("job-1", 101.0)
    assert store.job("job-1") is not None
    assert store.remove_job("job-1", 161.0).measurements == 2
    store.open_job(JOB, PLAN)
    dead = str(replace(process_identity.me(), pid=999_999_999))
    assert isinstance(store.acquire("desk", owner=dead, holder="ghost", now_s=170.0, ttl_s=1e9, job_id="job-1"), Lease)
    assert store.remove_job("job-1", 171.0).measurements == 2
    with pytest.raises(StoreError):
        store.commit([run()], replace(lease, token=lease.token + 1, owner=dead), "job-1")


def test_a_newer_probe_of_the_same_fingerprint_replaces(store: Store, lease: Lease) -> None:
    failed = probe(failure=Failure("OutOfMemory", "40 GB"), probed_s=2.0)
    other = probe(fingerprint={"runtime": "1.31"}, probed_s=3.0)
    for one in (probe(), failed, other):
        store.commit_probe(one, lease, "job-1")
    assert store.probes(KEYS) == {KEYS[0]: [other, failed]}


def test_forgotten_failures_stay_stored(store: Store, lease: Lease) -> None:
    store.commit([run(status="failed")], lease, "job-1")
    store.commit([run()], lease, "job-1")
    store.commit_probe(probe(KEYS[1], failure=Failure("WorkloadFailed", "x")), lease, "job-1")
    assert store.forget_failures("job-1") == 2
    assert [r.status for r in store.runs("job-1")] == ["complete"]
    assert KEYS[1] in store.probes(KEYS)
    found = store.job("job-1")
    assert found is not None
    assert found[1].failures == 0


def test_artifacts_are_recorded_by_measurement(store: Store) -> None:
    artifact = Artifact("ab" * 32, 10, ".onnx")
    store.put_artifacts({KEYS[0]: artifact})
    store.put_artifacts({KEYS[0]: artifact, KEYS[1]: artifact})
    assert store.artifacts(KEYS) == dict.fromkeys(KEYS, artifact.sha256)


def test_fingerprints_are_kept_as_they_are(store: Store, lease: Lease) -> None:
    strange = {**FINGERPRINT, "os": "Linux <b>'; DROP TABLE runs; --"}
    store.commit([run(fingerprint=strange)], lease, "job-1")
    assert [dict(r.fingerprint) for r in store.runs("job-1")] == [strange]
