"""Several jobs in one farm: a real store and pool, scripted devices."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tests.farm_kit import Quiet
from tests.sitting_kit import WIDTHS, admit, at_work, job, machine, runs_of, store_of, taken, turned

from lutfarm.agent_pool.local import LocalPool
from lutfarm.execution.run_job import outcome
from lutfarm.execution.sitting import Sitting
from lutfarm.execution.task_builder import TaskBuilder
from lutfarm.results.job_table import table_of
from lutfarm.scheduling import retry
from lutfarm.scheduling.state import out_of_work
from lutfarm.store import Store, open_store
from lutfarm.submission import submit
from lutfarm_agents import process_identity
from lutfarm_agents.address import LocalAddress
from lutfarm_agents.device import Device
from lutfarm_agents.interface import Advance
from lutfarm_agents.testing import FakeAgent, Script, ScriptedAgents
from lutfarm_jobs.errors import FarmError, LinkLost, RunnerBug, SpecError, StoreUnwritable
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.round import Round, Task
from lutfarm_jobs.run import Probe, Run
from lutfarm_jobs.spec import JobSpec


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with store_of(tmp_path, "a", "b") as found:
        yield found


def sat(store: Store, folder: Path, *specs: JobSpec, **scripts: Script) -> Sitting:
    """All jobs in one sitting until none is left; what became of them is in its state."""
    every = {
        name: replace(script, hello=replace(script.hello, machine_id=name))
        for name, script in {"a": Script(), "b": Script(), **scripts}.items()
    }
    with closing(LocalPool(state_dir=folder / "agents", agent_factory=ScriptedAgents(every))) as pool:
        with closing(Sitting(store, pool, folder / "models", owner=str(process_identity.me()), holder="a farm")) as sitting:
            for spec in specs:
                submitted, sources = submit.submit(spec, folder, store)
                sitting.admit(submitted, sources, Quiet())
            while set(sitting.over()) != {spec.id for spec in specs}:
                sitting.turn()
    return sitting


def test_two_jobs_share_devices_and_what_both_want_is_measured_once(store: Store, tmp_path: Path) -> None:
    one, two = job("one", 8, 16), job("two", 16, 24, rounds=4)
    sat(store, tmp_path, one, two)
    runs = {spec.name: {run.id: run for run in store.runs(spec.id, samples=False)} for spec in (one, two)}
    assert set(Counter(run.key for run in runs["one"].values()).values()) == {3}, "no more than it asked for"
    assert set(Counter(run.key for run in runs["two"].values()).values()) == {4}
    assert {len(table_of(store, spec.id)) for spec in (one, two)} == {4}
    every = Counter(run.key.split("Cout")[1].split("_")[0] for run in (runs["one"] | runs["two"]).values())
    assert every == {"8": 2 * 3, "16": 2 * 4, "24": 2 * 4}


def test_both_jobs_tables_hold_what_each_would_hold_alone(store: Store, tmp_path: Path) -> None:
    one, two = job("one", 8, 16), job("two", 16, 24)
    sat(store, tmp_path / "together", one, two)
    with open_store(tmp_path / "alone") as other:
        for device in store.devices():
            other.put_device(device)
        for spec in (one, two):
            sat(other, tmp_path / "apart", spec)
            assert [(e.key, e.rounds) for e in table_of(other, spec.id).entries] == [
                (e.key, e.rounds) for e in table_of(store, spec.id).entries
            ]


def test_a_device_that_fails_is_out_for_all_jobs_and_the_others_go_on(store: Store, tmp_path: Path) -> None:
    one, two = job("one", 8), job("two", 16)
    sitting = sat(store, tmp_path, one, two, b=Script(errors={"measure": ("NotReady", "its fan is off")}))
    assert sitting.state.units["b"].out == "quarantined"
    for spec in (one, two):
        assert [run.device for run in store.runs(spec.id, samples=False)] == ["a"] * 3
    assert store.device_record("b", time.time()).state == "quarantined"


def test_a_job_that_leaves_gives_back_the_devices_that_no_other_uses(store: Store, tmp_path: Path) -> None:
    one, two = job("one", 8, devices=("a", "b")), job("two", 16, devices=("b",))
    with (
        closing(LocalPool(state_dir=tmp_path / "agents", agent_factory=ScriptedAgents({"a": Script(), "b": Script()}))) as pool,
        closing(Sitting(store, pool, tmp_path / "models", owner=str(process_identity.me()), holder="a farm")) as sitting,
    ):
        for spec in (one, two):
            submitted, sources = submit.submit(spec, tmp_path, store)
            sitting.admit(submitted, sources, Quiet())
        with pytest.raises(RunnerBug, match="is not over"):
            sitting.leave(one.id)
        sitting.withdraw(one.id)
        while one.id not in sitting.over():
            sitting.turn()
        sitting.leave(one.id)
        assert store.lease_holder("a", time.time()) is None
        assert store.lease_holder("b", time.time()) is not None
        assert (store.device_record("a", time.time()).state, store.device_record("b", time.time()).state) == ("ready", "busy")
    assert store.lease_holder("b", time.time()) is None
    assert store.device_record("b", time.time()).state == "ready"


def test_a_job_that_joins_while_its_devices_are_open_has_what_is_stored(store: Store, tmp_path: Path) -> None:
    one, two = job("one", 8, devices=("a",)), job("two", 8, 16, devices=("a",))
    with at_work(store, tmp_path) as sitting:
        admit(sitting, store, tmp_path, one)
        admit(sitting, store, tmp_path, job("keeps", 24, rounds=9, devices=("a",)))
        while one.id not in sitting.over():
            sitting.turn()
        sitting.leave(one.id)
        watch = Quiet()
        admit(sitting, store, tmp_path, two, watch)
        assert [found.adopted_runs for found in watch.found] == [3]
        while two.id not in sitting.over():
            sitting.turn()
    runs = [run.key.split("Cout")[1].split("_")[0] for run in store.runs(two.id, samples=False)]
    assert Counter(runs) == {"8": 3, "16": 3}


def test_a_job_that_runs_is_refused_and_nothing_of_it_is_lost(store: Store, tmp_path: Path) -> None:
    one = job("one", 8)
    with at_work(store, tmp_path) as sitting:
        admit(sitting, store, tmp_path, one)
        before = sitting.state
        with pytest.raises(SpecError, match="runs already"):
            admit(sitting, store, tmp_path, one)
        assert sitting.state is before


def test_an_admission_that_breaks_gives_back_what_it_took_and_the_others_go_on(store: Store, tmp_path: Path) -> None:
    store.put_device(Device("c", f"generic-linux-{os.uname().machine}", "local", LocalAddress()))
    taken(store, "c")
    one, two = job("one", 8, devices=("a",)), job("two", 16, devices=("a", "b", "c"))

    class Impatient(Quiet):
        def waiting(self, device: str, holder: str) -> None:
            assert store.lease_holder("b", time.time()) is not None
            raise KeyboardInterrupt

    with at_work(store, tmp_path) as sitting:
        admit(sitting, store, tmp_path, one)
        with pytest.raises(KeyboardInterrupt):
            admit(sitting, store, tmp_path, two, Impatient())
        assert store.lease_holder("b", time.time()) is None
        assert store.device_record("b", time.time()).state == "ready"
        while one.id not in sitting.over():
            sitting.turn()
    assert len(list(store.runs(one.id, samples=False))) == 3


def test_what_fails_as_an_order_is_made_stops_that_job_alone_unless_it_is_the_store(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, build = job("one", 8), job("two", 16), TaskBuilder.task

    def failing(builder: TaskBuilder, measurement: Measurement, probe: Probe | None) -> Task:
        if WIDTHS[8] in measurement.key:
            raise error
        return build(builder, measurement, probe)

    monkeypatch.setattr(TaskBuilder, "task", failing)
    error: FarmError = RunnerBug("it is not as it should be")
    sitting = sat(store, tmp_path, one, two)
    assert sitting.state.job(one.id).stopped == ("RunnerBug", "it is not as it should be")
    assert (runs_of(store, one), runs_of(store, two)) == ({}, {"a": 3, "b": 3})
    error = StoreUnwritable("the disk is full")
    with pytest.raises(StoreUnwritable):
        sat(store, tmp_path, job("three", 8))


def test_a_device_that_was_mended_works_for_the_next_job(store: Store, tmp_path: Path) -> None:
    one, two = job("one", 8, rounds=9), job("two", 16, devices=("b",))
    with at_work(store, tmp_path) as sitting:
        admit(sitting, store, tmp_path, one)
        sitting.state = out_of_work(sitting.state, "b", "quarantined", "hot")
        admit(sitting, store, tmp_path, two)  # its record says that it is well
        while two.id not in sitting.over():
            sitting.turn()
    assert len(list(store.runs(two.id, samples=False))) == 3


class Picky(FakeAgent):
    """Its link breaks in every round of one convolution."""

    def measure(self, round: Round, *, models: Mapping[str, Path]) -> Iterator[Run | Advance]:
        if any(WIDTHS[8] in task.measurement.key for task in round.tasks):
            raise LinkLost("the cable is loose")
        return super().measure(round, models=models)


def test_a_job_whose_rounds_always_break_gives_up_and_the_other_ends_well(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "FIRST_DELAY_S", 0.01)
    bad, good = job("bad", 8, devices=("a",)), job("good", 16, 24, rounds=8, devices=("a",))

    def agents(device: Device, state_dir: Path, cpus: frozenset[int] | None) -> Picky:
        return Picky(device, machine(device.name))

    with at_work(store, tmp_path, agents=agents) as sitting:
        for spec in (bad, good):
            submitted, sources = submit.submit(spec, tmp_path, store)
            sitting.admit(replace(submitted, user=spec.name), sources, Quiet())
        turned(sitting, until=lambda: set(sitting.over()) == {bad.id, good.id})
        ended = outcome(sitting.state.job(bad.id), sitting.state.units)
        assert sitting.state.units["a"].out == ""
    assert (runs_of(store, bad), runs_of(store, good)) == ({}, {"a": 16})
    assert ended.out_of_work == "a broke its orders and no others: LinkLost: the cable is loose"
    assert len(ended.left) == 1
