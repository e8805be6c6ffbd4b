"""What a farm had measured and not stored when it died is stored by the next one, once: a real store, scripted devices."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.sitting_kit import admit, at_work, job, machine, runs_of, store_of, taken, turned

from lutfarm.execution.sitting import Sitting
from lutfarm.store import Store
from lutfarm_agents.device import Device
from lutfarm_agents.interface import Advance
from lutfarm_agents.testing import FakeAgent, Script
from lutfarm_jobs.errors import StoreUnwritable
from lutfarm_jobs.round import Lease, Round
from lutfarm_jobs.run import Run
from lutfarm_jobs.spec import JobSpec

ROUNDS = 3


@dataclass
class Counting:
    """Makes agents, and counts what they measure."""

    measured: Counter[str] = field(default_factory=Counter[str])

    def __call__(self, device: Device, *_: object) -> FakeAgent:
        counting = self

        class Counted(FakeAgent):
            def measure(self, round: Round, **more: Any) -> Iterator[Run | Advance]:
                for step in super().measure(round, **more):
                    if isinstance(step, Run):
                        counting.measured[device.name] += 1
                    yield step

        return Counted(device, machine(device.name, Script()))


class Away:
    """The store, which is away when runs are to be committed: before it looks at them, or after it has stored them."""

    def __init__(self, store: Store, *, stores: bool) -> None:
        self._store, self._stores = store, stores

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def commit(self, arrived: Sequence[Run], lease: Lease, job_id: str) -> None:
        if self._stores:
            self._store.commit(arrived, lease, job_id)
        raise StoreUnwritable("it went away")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with store_of(tmp_path, "a", "b") as found:
        yield found


@pytest.fixture
def agents() -> Counting:
    return Counting()


SPEC = job("one", 8, devices=("a",), rounds=ROUNDS)


def dies(store: Store, folder: Path, agents: Counting, *, stores: bool = False) -> None:
    """A farm that is gone when its first round has come in, as if killed: it told nobody."""
    away: Any = Away(store, stores=stores)
    with pytest.raises(StoreUnwritable), at_work(away, folder, owner="the first", agents=agents) as sitting:
        admit(sitting, store, folder, SPEC)
        turned(sitting, until=lambda: False)


def to_its_end(sitting: Sitting, spec: JobSpec = SPEC) -> None:
    turned(sitting, until=lambda: spec.id in sitting.over())


def unclaimed(folder: Path) -> int:
    return len(list(folder.glob("agents/spool/*/*/*")))


@pytest.mark.parametrize("stores", [False, True])
def test_what_was_measured_is_stored_by_the_next_farm_and_not_measured_again(
    store: Store, tmp_path: Path, agents: Counting, caplog: pytest.LogCaptureFixture, stores: bool
) -> None:
    caplog.set_level(logging.INFO)
    dies(store, tmp_path, agents, stores=stores)
    assert (agents.measured["a"], unclaimed(tmp_path)) == (1, 1)
    assert runs_of(store, SPEC)["a"] == (1 if stores else 0)
    with at_work(store, tmp_path, agents=agents) as sitting:
        admit(sitting, store, tmp_path, SPEC)
        to_its_end(sitting)
    assert (agents.measured["a"], runs_of(store, SPEC)["a"]) == (ROUNDS, ROUNDS)
    assert unclaimed(tmp_path) == 0
    (said,) = [record for record in caplog.records if record.getMessage() == "results that were left on the host"]
    assert (vars(said)["job"], vars(said)["seen" if stores else "committed"]) == (SPEC.id, 1)


def test_a_farm_that_dies_before_it_has_stored_what_was_left_loses_nothing(
    store: Store, tmp_path: Path, agents: Counting
) -> None:
    class Worse(Away):
        def commit_left(self, *_: object) -> None:
            raise StoreUnwritable("it went away again")

    dies(store, tmp_path, agents)
    for number in range(2):
        away: Any = Worse(store, stores=False)
        with pytest.raises(StoreUnwritable), at_work(away, tmp_path, owner=f"farm {number}", agents=agents) as sitting:
            admit(sitting, store, tmp_path, SPEC)
            turned(sitting, until=lambda: False)
    assert (agents.measured["a"], unclaimed(tmp_path)) == (1, 1)
    with at_work(store, tmp_path, agents=agents) as sitting:
        admit(sitting, store, tmp_path, SPEC)
        to_its_end(sitting)
    assert (agents.measured["a"], runs_of(store, SPEC)["a"], unclaimed(tmp_path)) == (ROUNDS, ROUNDS, 0)


def test_what_another_farm_has_measured_since_makes_it_too_late(store: Store, tmp_path: Path, agents: Counting) -> None:
    """Elsewhere: the device hung on another host for a while."""
    dies(store, tmp_path / "here", agents)
    with at_work(store, tmp_path / "there", agents=agents) as sitting:
        admit(sitting, store, tmp_path, SPEC)
        to_its_end(sitting)
        sitting.leave(SPEC.id)
    stored = {run.id for run in store.runs(SPEC.id)}
    assert len(stored) == ROUNDS
    more = job("two", 16, devices=("a",), rounds=1)
    with at_work(store, tmp_path / "here", agents=agents) as sitting:
        admit(sitting, store, tmp_path, more)
        turned(sitting, until=lambda: sitting.state.units["a"].opened)
        assert sitting.state.units["a"].dropped == 1, "it is counted"
        to_its_end(sitting, more)
    assert {run.id for run in store.runs(SPEC.id)} == stored
    assert unclaimed(tmp_path / "here") == 0, "nobody will ever want it"


def test_a_job_that_does_not_run_gets_what_was_left_for_it(store: Store, tmp_path: Path, agents: Counting) -> None:
    dies(store, tmp_path, agents)
    other = job("two", 16, devices=("a",), rounds=1)
    with at_work(store, tmp_path, agents=agents) as sitting:
        admit(sitting, store, tmp_path, other)
        to_its_end(sitting, other)
    assert (runs_of(store, SPEC)["a"], runs_of(store, other)["a"], agents.measured["a"]) == (1, 1, 2)


def test_what_was_left_for_a_job_that_is_gone_is_dropped(store: Store, tmp_path: Path, agents: Counting) -> None:
    dies(store, tmp_path, agents)
    store.remove_job(SPEC.id, 9e9)
    with at_work(store, tmp_path, agents=agents) as sitting:
        admit(sitting, store, tmp_path, SPEC)
        to_its_end(sitting)
    assert (agents.measured["a"], runs_of(store, SPEC)["a"], unclaimed(tmp_path)) == (1 + ROUNDS, ROUNDS, 0)


def test_what_came_while_another_had_the_lease_is_stored_once_it_is_ours_again(
    store: Store, tmp_path: Path, agents: Counting
) -> None:
    """Nobody measured in between, so nothing is lost: it was measured under the device's own lock."""
    with at_work(store, tmp_path, agents=agents) as sitting:
        admit(sitting, store, tmp_path, SPEC)
        turned(sitting, until=lambda: runs_of(store, SPEC)["a"] > 0 and sitting.state.units["a"].in_flight is not None)
        theirs = taken(store, "a")
        turned(sitting, until=lambda: not sitting.state.units["a"].leased)
        store.release(theirs)
        to_its_end(sitting)
    assert runs_of(store, SPEC)["a"] == ROUNDS
    assert len({run.round_id for run in store.runs(SPEC.id)}) == ROUNDS
    assert unclaimed(tmp_path) == 0
