"""What counts of what the store has: this job's runs, other jobs', probes; only of today's fingerprint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.store_kit import DESK, HELLO, JOB, PLAN, SLICE, probe, run

from lutfarm.agent_pool.interface import Opened
from lutfarm.execution.resume import foresee, resume
from lutfarm.scheduling.job_progress import JobProgress, resumed
from lutfarm.scheduling.policy import MeasuringPolicy
from lutfarm.statistics.estimates.precision import StopRule
from lutfarm.store import Store, open_store
from lutfarm_agents.fingerprint import fingerprint
from lutfarm_jobs.round import Lease, Slicing
from lutfarm_jobs.run import Failure

M = PLAN[0]
NOW = fingerprint(HELLO, M.backend, Slicing())
PROBED = fingerprint(HELLO, M.backend, None)
OLD = {**NOW, "runtime": "onnxruntime 1.31.0"}
OPENED = Opened("o", "desk", HELLO)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    opened = open_store(tmp_path)
    opened.put_device(DESK)
    for name in ("job-1", "job-2"):
        opened.open_job(replace(JOB, id=name), PLAN)
    return opened


@pytest.fixture
def lease(store: Store) -> Lease:
    found = store.acquire("desk", owner="x 1 1.00", holder="x", now_s=0.0, ttl_s=1e9)
    assert isinstance(found, Lease)
    return found


def begun(*, rounds: int, rule: StopRule | None = None, policy: MeasuringPolicy | None = None) -> JobProgress:
    return JobProgress("job-2", {m.key: m for m in PLAN}, {"desk": policy or MeasuringPolicy()}, rounds, rule=rule)


def found(store: Store, *, fresh_since_s: float | None = None, forget_s: float = 0.0, rounds: int = 3):
    return resume(store, begun(rounds=rounds), OPENED, fresh_since_s=fresh_since_s, ignore_failures_before_s=forget_s)


def test_own_runs_count_and_runs_of_another_fingerprint_do_not(store: Store, lease: Lease) -> None:
    store.commit([run(fingerprint=NOW), run(fingerprint=NOW), run(fingerprint=OLD)], lease, "job-2")
    got = found(store)
    assert (got.own_runs, got.outdated_runs, got.adopted_runs) == (2, 1, 0)
    assert got.progress_of[M.key].complete == 2
    (why,) = got.outdated
    assert str(why) == "runtime: 'onnxruntime 1.31.0' (stored) and 'onnxruntime 1.32.0' (today)"


def test_runs_of_other_jobs_fill_what_is_open_and_no_more(store: Store, lease: Lease) -> None:
    store.commit([run(fingerprint=NOW) for _ in range(5)] + [run(fingerprint=OLD)], lease, "job-1")
    store.commit([run(fingerprint=NOW)], lease, "job-2")
    got = found(store)
    assert (got.own_runs, got.adopted_runs) == (1, 2)
    assert got.progress_of[M.key].complete == 3
    assert store.round_counts("job-2")[M.key] == {"complete": 3}
    again = found(store)
    assert (again.own_runs, again.adopted_runs) == (3, 0)


def test_runs_that_go_with_their_job_while_they_are_looked_at_are_left_out(
    store: Store, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.open_job(replace(JOB, id="job-3"), PLAN)
    store.commit([run(fingerprint=NOW, started_s=float(at)) for at in (30, 40)], lease, "job-1")
    store.commit([run(fingerprint=NOW, started_s=float(at)) for at in (10, 20)], lease, "job-3")
    store.release(lease)
    adopt = store.adopt

    def late(job_id: str, run_ids: Sequence[str]) -> Sequence[str]:
        if store.job("job-1"):
            store.remove_job("job-1", 1.0)
        return adopt(job_id, run_ids)

    monkeypatch.setattr(store, "adopt", late)
    got = found(store)
    assert (got.own_runs, got.adopted_runs, got.progress_of[M.key].complete) == (0, 2, 2)
    assert [one.started_s for one in store.runs("job-2")] == [10.0, 20.0]


def test_a_fresh_job_adopts_nothing_and_probes_again(store: Store, lease: Lease) -> None:
    store.commit([run(fingerprint=NOW)], lease, "job-1")
    store.commit_probe(probe(fingerprint=PROBED, probed_s=5.0), lease, "job-1")
    got = found(store, fresh_since_s=10.0)
    assert (got.adopted_runs, got.reused_probes, got.progress_of) == (0, 0, {})
    store.commit_probe(probe(fingerprint=PROBED, probed_s=11.0), lease, "job-2")
    assert found(store, fresh_since_s=10.0).reused_probes == 1


def test_a_failed_probe_is_the_result_until_it_is_asked_to_be_forgotten(store: Store, lease: Lease) -> None:
    store.commit_probe(probe(fingerprint=PROBED, probed_s=5.0, failure=Failure("OutOfMemory", "40 GB")), lease, "job-1")
    assert found(store).progress_of[M.key].failed
    assert M.key not in found(store, forget_s=6.0).progress_of


def test_a_plan_foresees_what_a_run_would_find_and_changes_nothing(store: Store, lease: Lease) -> None:
    store.commit([run(fingerprint=NOW)], lease, "job-1")
    state = begun(rounds=3)
    unknown, nothing = foresee(store, state, "desk", fresh_since_s=None)
    assert (unknown, nothing.adopted_runs) == (state, 0)
    store.put_hello("desk", HELLO, 1.0)
    after, got = foresee(store, state, "desk", fresh_since_s=None)
    assert got.adopted_runs == 1
    assert after.progress(M.key).complete == 1
    assert store.round_counts("job-2") == {}


def test_what_was_quiet_by_a_reference_that_no_longer_holds_is_no_level(store: Store, lease: Lease) -> None:
    """A first round on a machine that was slow all along passed its own gate; later rounds show what it was."""
    slow = replace(SLICE, canary_before_ns=105_000, canary_after_ns=105_000)
    first = run(fingerprint=NOW, started_s=1.0, ended_s=2.0, slices=(slow,), canary_reference_ns=105_000)
    later = [run(fingerprint=NOW, started_s=60.0 * n, ended_s=60.0 * n + 1, canary_reference_ns=70_000) for n in range(1, 21)]
    state = begun(rounds=30, rule=StopRule())
    store.commit([first], lease, "job-2")
    before = resume(store, state, OPENED, fresh_since_s=None)
    assert len(before.progress_of[M.key].estimates) == 1
    store.commit(later, lease, "job-2")
    after = resume(store, state, OPENED, fresh_since_s=None).progress_of[M.key]
    assert (after.complete, len(after.estimates)) == (21, 20)


def test_what_broke_off_in_an_earlier_sitting_uses_up_no_try_of_this_one(store: Store, lease: Lease) -> None:
    store.commit([run(fingerprint=NOW, status="truncated") for _ in range(12)] + [run(fingerprint=NOW)], lease, "job-2")
    got = found(store)
    assert got.progress_of[M.key].complete == 1
    state = resumed(begun(rounds=3), got.progress_of)
    assert state.wants(M.key)


def test_what_another_job_measured_is_judged_by_the_canary_of_today(store: Store, lease: Lease) -> None:
    """As a job's own runs are: see above."""
    slow = replace(SLICE, canary_before_ns=105_000, canary_after_ns=105_000)
    first = run(fingerprint=NOW, started_s=1.0, ended_s=2.0, slices=(slow,), canary_reference_ns=105_000)
    later = [run(fingerprint=NOW, started_s=60.0 * n, ended_s=60.0 * n + 1, canary_reference_ns=70_000) for n in range(1, 21)]
    store.commit([first, *later], lease, "job-1")
    state = begun(rounds=30, rule=StopRule())
    got = resume(store, state, OPENED, fresh_since_s=None)
    assert (got.adopted_runs, len(got.progress_of[M.key].estimates)) == (21, 20)


def test_asking_to_forget_failures_forgets_no_probe_that_went_well(store: Store, lease: Lease) -> None:
    store.commit_probe(probe(fingerprint=PROBED, probed_s=5.0), lease, "job-1")
    assert found(store, forget_s=6.0).reused_probes == 1


@pytest.mark.parametrize(("strict", "adopted"), [(True, 1), (False, 2)])
def test_a_strict_job_adopts_nothing_from_a_throttled_device(store: Store, lease: Lease, strict: bool, adopted: int) -> None:
    hot = run(fingerprint=NOW, throttled=True)
    assert hot.throttled
    store.commit([run(fingerprint=NOW), hot], lease, "job-1")
    got = resume(store, begun(rounds=3, policy=MeasuringPolicy(strict=strict)), OPENED, fresh_since_s=None)
    assert got.adopted_runs == adopted
