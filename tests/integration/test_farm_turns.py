"""What one turn of the loop does, in its order: a real store and pool, scripted devices, a clock that runs fast."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import pytest
from tests.farm_kit import Quiet

from lutfarm.agent_pool.interface import Event, Measured
from lutfarm.agent_pool.local import LocalPool
from lutfarm.devices import leases
from lutfarm.execution import sitting
from lutfarm.execution.run_job import Farm
from lutfarm.scheduling.news import News
from lutfarm.scheduling.state import FarmState
from lutfarm.scheduling.turn import Turned, after_news
from lutfarm.store import Store, open_store
from lutfarm.submission import submit
from lutfarm_agents import process_identity
from lutfarm_agents.address import LocalAddress
from lutfarm_agents.device import Device
from lutfarm_agents.testing import Script, ScriptedAgents
from lutfarm_jobs.round import Lease
from lutfarm_jobs.spec import parse_job

OPERATORS = [f"conv_H14_W14_Cin8_Cout{width}_k1_s1_g1_relu" for width in (8, 16, 24, 32)]
JOB = {
    "name": "small",
    "workloads": [{"operators": OPERATORS}],
    "devices": ["a"],
    "backends": [{"runtime": "onnxruntime"}],
    "sampling": {"rounds": 6, "passes": 2},
}


def run(folder: Path, pool_class: type[LocalPool] = LocalPool, *, check: Callable[[Store], None]) -> None:
    """The job on a scripted device, with `check` called once the store is open."""
    with open_store(folder / "home") as store:
        store.put_device(Device("a", f"generic-linux-{os.uname().machine}", "local", LocalAddress()))
        submitted, sources = submit.submit(parse_job(JOB, source="job"), folder, store)
        check(store)
        with closing(pool_class(state_dir=folder / "agents", agent_factory=ScriptedAgents({"a": Script()}))) as pool:
            farm = Farm(store, pool, folder / "models", str(process_identity.me()), "a test")
            outcome = farm.run(submitted, sources, Quiet())
        assert outcome.missing == ()


def test_what_a_turn_counts_is_in_the_store_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Store] = []
    counted: list[str] = []

    def looked_at(state: FarmState, news: News, now_s: float) -> Turned:
        stored = {found.id for job, _ in opened[0].jobs() for found in opened[0].runs(job.id)}
        arrived = [event.run.id for event in news.events if isinstance(event, Measured)]
        assert stored.issuperset(arrived), "a run was counted before it was committed: a power cut now would lose it"
        counted.extend(arrived)
        return after_news(state, news, now_s)

    monkeypatch.setattr(sitting, "after_news", looked_at)
    run(tmp_path, check=opened.append)
    assert len(set(counted)) == 4 * 6


class FastClock:
    """As `time`, but a turn of the loop takes 40 s more."""

    late_s = 0.0

    def time(self) -> float:
        return time.time() + self.late_s

    def sleep(self, seconds_s: float) -> None:
        time.sleep(seconds_s)


def test_a_job_that_takes_longer_than_a_lease_never_works_with_one_that_ran_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FastClock()
    monkeypatch.setattr(leases, "time", clock)
    used: list[Lease] = []

    class SlowTurns(LocalPool):
        """One event a turn, so that most turns give no order."""

        arrived: ClassVar[list[Event]] = []

        def events(self, timeout_s: float) -> Sequence[Event]:
            self.arrived.extend(super().events(0.0 if self.arrived else timeout_s))
            found = self.arrived[:1]
            del self.arrived[:1]
            if any(isinstance(event, Measured) for event in found):
                clock.late_s += 0.6 * leases.LEASE_S
            return found

    def watched(store: Store) -> None:
        commit = store.commit

        def looked_at(runs: Sequence[object], lease: Lease, job_id: str) -> None:
            used.append(lease)
            assert lease.expires_s > clock.time(), "anybody else could have had the device by now"
            commit(runs, lease, job_id)  # type: ignore[arg-type]

        monkeypatch.setattr(store, "commit", looked_at)

    run(tmp_path, SlowTurns, check=watched)
    assert len({lease.expires_s for lease in used}) > 1
    assert clock.late_s > 2 * leases.LEASE_S
    assert {lease.device for lease in used} == {"a"}
