"""Jobs that are taken from a queue: a real store and pool, scripted devices."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.integration.test_many_jobs import job

from lutfarm.agent_pool.local import LocalPool
from lutfarm.comparison.compare_job import submit_any
from lutfarm.execution.serving import Reading, Serving
from lutfarm.execution.sitting import Sitting
from lutfarm.records.device_state import DeviceEvent
from lutfarm.records.job import Job
from lutfarm.records.queued_job import QueuedJob
from lutfarm.server.intake.job_folders import SPEC_FILE
from lutfarm.server.intake.kinds import keep_spec, loaded
from lutfarm.store import Store, open_store
from lutfarm_agents import process_identity
from lutfarm_agents.address import LocalAddress
from lutfarm_agents.device import Device
from lutfarm_agents.testing import Script, ScriptedAgents
from lutfarm_jobs.errors import NotReady
from lutfarm_jobs.spec import JobSpec, parse_job

MOST_S = 120.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "home") as found:
        for name in ("a", "b"):
            found.put_device(Device(name, f"generic-linux-{os.uname().machine}", "local", LocalAddress()))
        yield found


def submit(store: Store, folder: Path, spec: JobSpec, *, user: str = "", priority: int = 0, retry_failed: bool = False) -> str:
    mine = folder / "submitted" / spec.id
    mine.mkdir(parents=True, exist_ok=True)
    keep_spec(spec, mine)
    submitted, _ = submit_any(spec, mine, store)
    spec = submitted.spec
    store.open_job(
        Job(spec.id, spec.name, spec.model_dump_json(), time.time(), "queued", user=user, priority=priority), submitted.plan
    )
    store.enqueue(QueuedJob(spec.id, str(mine), time.time(), retry_failed))
    return spec.id


@contextmanager
def served(store: Store, folder: Path, *, read: Reading = loaded, **scripts: Script) -> Generator[Serving]:
    every = {
        name: replace(script, hello=replace(script.hello, machine_id=name))
        for name, script in {"a": Script(), "b": Script(), **scripts}.items()
    }
    with closing(LocalPool(state_dir=folder / "agents", agent_factory=ScriptedAgents(every))) as pool:
        with closing(Sitting(store, pool, folder / "models", owner=str(process_identity.me()), holder="serve")) as sitting:
            yield Serving(store, sitting, read)


def until(serving: Serving, reached: Callable[[], bool]) -> None:
    end_s = time.monotonic() + MOST_S
    while not reached():
        assert time.monotonic() < end_s, "it was never reached"
        serving.turn()


def state(store: Store, job_id: str) -> str:
    found = store.job(job_id)
    assert found is not None
    return found[0].state


def test_jobs_come_and_go_while_it_serves(store: Store, tmp_path: Path) -> None:
    with served(store, tmp_path) as serving:
        one = submit(store, tmp_path, job("one", 8, 16), user="ann")
        until(serving, lambda: bool(list(store.runs(one, samples=False))))
        assert state(store, one) == "open"
        two = submit(store, tmp_path, job("two", 16, 24), user="bob", priority=1)
        until(serving, lambda: not store.queue())
        assert [state(store, each) for each in (one, two)] == ["complete", "complete"]
        assert not serving.sitting.state.jobs
        assert all(store.lease_holder(device, time.time()) is None for device in "ab"), "nobody waits for an idle farm"
        three = submit(store, tmp_path, job("three", 8))
        until(serving, lambda: state(store, three) == "complete")
    assert {run.status for each in (one, two, three) for run in store.runs(each, samples=False)} == {"complete"}


def test_whose_a_job_is_and_how_urgent_reaches_the_loop(store: Store, tmp_path: Path) -> None:
    with served(store, tmp_path) as serving:
        one = submit(store, tmp_path, job("one", 8, 16), user="ann", priority=3)
        until(serving, lambda: one in serving.sitting.state.jobs)
        taken = serving.sitting.state.jobs[one]
        assert (taken.user, taken.priority) == ("ann", 3)


def test_a_job_that_somebody_ends_keeps_what_it_has(store: Store, tmp_path: Path) -> None:
    with served(store, tmp_path) as serving:
        one = submit(store, tmp_path, job("one", 8, 16, 24, rounds=50))
        until(serving, lambda: bool(list(store.runs(one, samples=False))))
        assert store.ask_to_end(one, "ann no longer needs it")
        until(serving, lambda: not store.queue())
    found = store.job(one)
    assert found is not None
    assert (found[0].state, found[0].reason) == ("cancelled", "ann no longer needs it")
    assert found[1].runs > 0


def test_one_that_is_ended_before_it_began_measures_nothing(store: Store, tmp_path: Path) -> None:
    one = submit(store, tmp_path, job("one", 8))
    store.ask_to_end(one, "a mistake")
    with served(store, tmp_path) as serving:
        until(serving, lambda: not store.queue())
    assert (state(store, one), list(store.runs(one))) == ("cancelled", [])


def test_a_job_whose_file_is_gone_fails_alone(store: Store, tmp_path: Path) -> None:
    one, two = submit(store, tmp_path, job("one", 8)), submit(store, tmp_path, job("two", 16))
    (tmp_path / "submitted" / one / SPEC_FILE).unlink()
    with served(store, tmp_path) as serving:
        until(serving, lambda: not store.queue())
    found = store.job(one)
    assert found is not None
    assert found[0].state == "failed"
    assert SPEC_FILE in found[0].reason
    assert state(store, two) == "complete"


def test_a_job_waits_for_a_device_that_a_person_holds(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lutfarm.execution.waiting_jobs.TRY_AGAIN_S", 0.2)
    store.step_device("b", DeviceEvent("held", "a new fan"), time.time())
    with served(store, tmp_path) as serving:
        one = submit(store, tmp_path, job("one", 8))
        until(serving, lambda: any(entry.waiting for entry in store.queue()))
        assert "a new fan" in store.queue()[0].waiting
        assert {run.device for run in store.runs(one, samples=False)} == {"a"}, "the other went on"
        assert state(store, one) == "open"
        store.step_device("b", DeviceEvent("released"), time.time())
        until(serving, lambda: not store.queue())
    assert state(store, one) == "complete"
    assert {run.device for run in store.runs(one, samples=False)} == {"a", "b"}


def test_what_was_queued_when_it_ended_goes_on_when_it_serves_again(store: Store, tmp_path: Path) -> None:
    with served(store, tmp_path) as serving:
        one = submit(store, tmp_path, job("one", 8, 16, 24, rounds=5))
        until(serving, lambda: bool(list(store.runs(one, samples=False))))
    had = {run.id for run in store.runs(one, samples=False)}
    assert [entry.job_id for entry in store.queue()] == [one]
    with served(store, tmp_path) as serving:
        until(serving, lambda: not store.queue())
    runs = {run.id for run in store.runs(one, samples=False)}
    assert had < runs
    assert len(runs) == 2 * 3 * 5, "nothing is measured twice"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lutfarm.execution.serving.LOOK_S", 0.0)


def test_a_job_for_a_retired_device_has_failed_and_says_why(store: Store, tmp_path: Path) -> None:
    one = submit(store, tmp_path, job("one", 8))
    store.step_device("b", DeviceEvent("retired", "its screen broke"), time.time())
    with served(store, tmp_path) as serving:
        until(serving, lambda: not store.queue())
    found = store.job(one)
    assert found is not None
    assert found[0].state == "failed"
    assert "its screen broke" in found[0].reason
    assert {run.device for run in store.runs(one, samples=False)} == {"a"}, "the other was measured"


def test_a_job_that_waits_for_people_is_not_read_again_and_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lutfarm.execution.waiting_jobs.TRY_AGAIN_S", 0.0)
    reads: list[str] = []

    def read(entry: QueuedJob, of: Store) -> Any:
        reads.append(entry.job_id)
        return loaded(entry, of)

    store.step_device("b", DeviceEvent("held", "a new fan"), time.time())
    with served(store, tmp_path, read=read) as serving:
        one = submit(store, tmp_path, job("one", 8))
        until(serving, lambda: any(entry.waiting for entry in store.queue()))
        for _ in range(20):
            serving.turn()
        assert reads == [one]


def test_a_pool_whose_devices_are_all_held_is_waited_for(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lutfarm.execution.waiting_jobs.TRY_AGAIN_S", 0.1)
    spec = parse_job(
        job("pool", 8).model_dump(mode="json") | {"devices": [{"profile": f"generic-linux-{os.uname().machine}"}]}, source="job"
    )
    one = submit(store, tmp_path, spec)
    for device in "ab":
        store.step_device(device, DeviceEvent("held", "a new fan"), time.time())
    with served(store, tmp_path) as serving:
        until(serving, lambda: any(entry.waiting for entry in store.queue()) or state(store, one) == "failed")
        assert state(store, one) != "failed", store.job(one)
        assert "a new fan" in store.queue()[0].waiting
        for device in "ab":
            store.step_device(device, DeviceEvent("released"), time.time())
        until(serving, lambda: not store.queue())
    assert state(store, one) == "complete"


def test_a_cancel_that_comes_while_a_job_is_read_is_heard(store: Store, tmp_path: Path) -> None:
    def read(entry: QueuedJob, of: Store) -> Any:
        found = loaded(entry, of)
        store.ask_to_end(entry.job_id, "ann changed her mind")
        return found

    one = submit(store, tmp_path, job("one", 8, rounds=50), retry_failed=True)
    with served(store, tmp_path, read=read) as serving:
        until(serving, lambda: not store.queue())
    found = store.job(one)
    assert found is not None
    assert (found[0].state, found[0].reason) == ("cancelled", "ann changed her mind")


def test_a_device_that_is_not_as_it_was_holds_up_its_job_alone(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lutfarm.execution.waiting_jobs.TRY_AGAIN_S", 60.0)

    def read(entry: QueuedJob, of: Store) -> Any:
        if entry.job_id.startswith("one"):
            raise NotReady("it has none of the cores that its profile names")
        return loaded(entry, of)

    one, two = submit(store, tmp_path, job("one", 8)), submit(store, tmp_path, job("two", 16))
    with served(store, tmp_path, read=read) as serving:
        until(serving, lambda: state(store, two) == "complete")
    (left,) = store.queue()
    assert left.job_id == one
    assert "none of the cores" in left.waiting


def test_a_job_whose_time_is_up_before_it_began_says_so(store: Store, tmp_path: Path) -> None:
    one = submit(store, tmp_path, job("one", 8))
    store.enqueue(replace(store.queue()[0], until_s=time.time() - 1.0))
    with served(store, tmp_path) as serving:
        until(serving, lambda: not store.queue())
    found = store.job(one)
    assert found is not None
    assert (found[0].state, found[0].reason) == ("cancelled", "its time was up")


def test_a_cancel_is_heard_before_any_of_the_jobs_that_are_due_is_read(store: Store, tmp_path: Path) -> None:
    jobs = [submit(store, tmp_path, job(f"job-{number}", 8)) for number in range(5)]
    with served(store, tmp_path) as serving:
        store.ask_to_end(jobs[-1], "ann no longer needs it")
        serving.turn()
        assert state(store, jobs[-1]) == "cancelled"
        assert [state(store, each) for each in jobs[:-1]].count("queued") == 3, "one was read meanwhile"


def test_of_the_jobs_that_wait_for_a_lost_device_one_tries_it_and_all_go_on_when_it_is_back(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lutfarm.execution.waiting_jobs.TRY_AGAIN_S", 3600.0)
    monkeypatch.setattr("lutfarm.scheduling.retry.FIRST_DELAY_S", 0.0)
    reads: list[str] = []

    def read(entry: QueuedJob, of: Store) -> Any:
        reads.append(entry.job_id)
        return loaded(entry, of)

    spec = job("job", 8).model_dump(mode="json") | {"devices": ["b"]}
    jobs = [submit(store, tmp_path, parse_job(spec | {"name": f"job-{number}"}, source="job")) for number in range(3)]
    with served(store, tmp_path, read=read, b=Script(errors={"prepare": ("LinkLost", "no route")})) as serving:
        until(serving, lambda: len([entry for entry in store.queue() if entry.waiting]) == 3)
        assert store.device_record("b", time.time()).state == "lost"
        for _ in range(20):
            serving.turn()
        assert sorted(reads) == sorted(jobs), "none was read again"
        store.step_device("b", DeviceEvent("host joined"), time.time())
        until(serving, lambda: len(reads) == 4 and store.device_record("b", time.time()).state == "lost")
        for _ in range(20):
            serving.turn()
        assert len(reads) == 4, "one tried for all, and it was not back"
