"""Whether something of a job is left: a run that ends, `plan` and `job why` say the same, and the next run measures that."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tests.farm_kit import Quiet

from lutfarm.agent_pool.interface import Measured
from lutfarm.agent_pool.local import LocalPool
from lutfarm.execution import preview as previews
from lutfarm.execution.host_load import Load
from lutfarm.execution.preview import preview
from lutfarm.execution.run_job import Farm, JobOutcome
from lutfarm.execution.why_job import why_job
from lutfarm.records.device_state import DeviceEvent
from lutfarm.results.job_entries import judged_anew
from lutfarm.store import Store, open_store
from lutfarm.submission import submit
from lutfarm_agents import process_identity
from lutfarm_agents.address import LocalAddress
from lutfarm_agents.device import Device
from lutfarm_agents.interface import Agent
from lutfarm_agents.testing import HELLO, FakeAgent, Script
from lutfarm_jobs.round import Round, Task
from lutfarm_jobs.run import Run
from lutfarm_jobs.spec import parse_job

MOST_ROUNDS = 20
JOB = {
    "name": "small",
    "workloads": [{"operators": [f"conv_H14_W14_Cin8_Cout{width}_k1_s1_g1_relu" for width in (8, 16, 24, 32)]}],
    "devices": ["a"],
    "backends": [{"runtime": "onnxruntime"}],
    "sampling": {"rounds": MOST_ROUNDS, "passes": 2},
}


class Machine:
    """An agent factory: devices whose canary is slow in their first `slow_rounds`, which nothing then shows."""

    def __init__(self, slow_rounds: int = 0, script: Script | None = None) -> None:
        self.slow_rounds = slow_rounds
        self.script = script or Script()
        self.rounds: list[str] = []

    def __call__(self, device: Device, state_dir: Path, cpus: frozenset[int] | None) -> Agent:
        del state_dir, cpus
        return _Slowly(device, self.script, self)


class _Slowly(FakeAgent):
    def __init__(self, device: Device, script: Script, machine: Machine) -> None:
        super().__init__(device, script)
        self._machine = machine

    def _run(self, round_: Round, task: Task, status: str) -> Run:
        if round_.id not in self._machine.rounds:
            self._machine.rounds.append(round_.id)
        run = super()._run(round_, task, status)  # type: ignore[arg-type]
        if self._machine.rounds.index(round_.id) >= self._machine.slow_rounds:
            return run
        slices = tuple(replace(each, canary_before_ns=105_000, canary_after_ns=105_000) for each in run.slices)
        return replace(run, slices=slices, canary_reference_ns=105_000)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(previews, "watch", lambda _s: Load(2, 0.0))
    with open_store(tmp_path / "home") as found:
        found.put_device(Device("a", f"generic-linux-{os.uname().machine}", "local", LocalAddress()))
        yield found


class Counting(Quiet):
    """How many runs arrive."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived = 0

    def update(self, job: object, units: object, events: object) -> None:
        self.arrived += sum(isinstance(event, Measured) for event in events)  # type: ignore[attr-defined]


def run(store: Store, folder: Path, machine: Machine) -> tuple[JobOutcome, int]:
    """How it ended, and how many runs arrived."""
    submitted, sources = submit.submit(parse_job(JOB, source="job"), folder, store)
    watch = Counting()
    with closing(LocalPool(state_dir=folder / "agents", agent_factory=machine)) as pool:
        farm = Farm(store, pool, folder / "models", str(process_identity.me()), "a test")
        return farm.run(submitted, sources, watch), watch.arrived


def undone(outcome: JobOutcome) -> int:
    return sum(not outcome.job.done(key) for key in outcome.job.plan)


def left(store: Store, folder: Path) -> tuple[int, int]:
    """By `plan`, and by `job why`."""
    submitted, _ = submit.submit(parse_job(JOB, source="job"), folder, store)
    _, rows = why_job(store, submitted.spec.id, time.time())
    return sum(one.to_measure for one in preview(submitted, store).devices), sum(row.left for row in rows)


@pytest.mark.parametrize(("slow_rounds", "anew"), [(0, False), (1, True), (3, True), (6, False)])
def test_what_a_run_says_is_done_is_done_for_plan_and_why_and_the_next_run(
    store: Store, tmp_path: Path, slow_rounds: int, anew: bool
) -> None:
    """Whatever the canary showed only after rounds that looked precise when they were taken; one fast round of 7 is no level."""
    machine = Machine(slow_rounds)
    outcome, arrived = run(store, tmp_path, machine)
    assert undone(outcome) == 0
    assert 0 < arrived < 4 * MOST_ROUNDS, "no rule ended it: there was nothing to disagree about"
    assert left(store, tmp_path) == (0, 0)
    assert run(store, tmp_path, machine)[1] == 0
    assert (judged_anew(store, outcome.job_id) > 0) is anew


def test_what_a_held_device_keeps_is_left_for_all_of_them(store: Store, tmp_path: Path) -> None:
    store.step_device("a", DeviceEvent("held", "new fan"), time.time())
    outcome, arrived = run(store, tmp_path, Machine())
    assert (undone(outcome), arrived) == (4, 0)
    assert left(store, tmp_path) == (4, 4)
    store.step_device("a", DeviceEvent("released"), time.time())
    outcome, _ = run(store, tmp_path, Machine())
    assert undone(outcome) == 0
    assert left(store, tmp_path) == (0, 0)


def test_what_another_version_of_the_runtime_measured_is_left_for_all_of_them(store: Store, tmp_path: Path) -> None:
    run(store, tmp_path, Machine())
    upgraded = replace(HELLO, runtimes={"onnxruntime": "99.0"})
    store.put_hello("a", upgraded, time.time())
    assert left(store, tmp_path) == (4, 4)
    outcome, arrived = run(store, tmp_path, Machine(script=Script(hello=upgraded)))
    assert (undone(outcome), arrived > 0) == (0, True)
    assert left(store, tmp_path) == (0, 0)
