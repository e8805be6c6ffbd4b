"""A comparison through the whole farm: real store, pool, agent and sampling code; the device is simulated, its truth known."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from tests.farm_kit import Quiet

from lutfarm.agent_pool.interface import Event, Measured
from lutfarm.agent_pool.local import LocalPool
from lutfarm.comparison import Comparison, PairStrategy, compared, names_of, parse_side, plan_pairs, spec_of
from lutfarm.execution import held_devices
from lutfarm.execution.run_job import Farm, JobOutcome
from lutfarm.execution.task_builder import TaskBuilder
from lutfarm.scheduling.job_progress import JobProgress
from lutfarm.scheduling.unit import Unit
from lutfarm.statistics.comparisons.pairs import a_first
from lutfarm.statistics.estimates.precision import StopRule
from lutfarm.store import Store, open_store
from lutfarm.submission import submit
from lutfarm.submission.submission import Submission
from lutfarm_agents import process_identity
from lutfarm_agents.address import LocalAddress
from lutfarm_agents.device import Device
from lutfarm_agents.testing import (
    Drift,
    LogNormal,
    ProcessOffsets,
    ScriptedAgents,
    SimulatedAgents,
    SimulatedDevice,
    TwoStates,
    WarmUp,
    compose,
)
from lutfarm_agents.testing.fakes import HELLO, FakeAgent, Script
from lutfarm_jobs.errors import NothingCompared, SpecError
from lutfarm_jobs.round import Lease, Round, Task
from lutfarm_jobs.run import Failure, Run
from lutfarm_jobs.spec import parse_job

PROFILE = f"generic-linux-{os.uname().machine}"
OPERATORS = [f"conv_H14_W14_Cin8_Cout{8 * n}_k1_s1_g1_relu" for n in range(1, 9)]
JOB = parse_job(
    {
        "name": "j",
        "workloads": [{"operators": OPERATORS}],
        "devices": ["desk"],
        "backends": [{"runtime": "onnxruntime"}, {"runtime": "tflite"}],
        "sampling": {"passes": 6},
    },
    source="job",
)
NOISE = compose(
    LogNormal(0.02),
    WarmUp(),
    ProcessOffsets(shared=0.004, own=0.006),
    Drift(amplitude=0.02, period_s=30.0),
    TwoStates(fast_s=(0.5,), slow_s=(0.1,)),
)


class Stop(Exception):
    """Enough runs have arrived."""


class Watch(Quiet):
    """Keeps the order of processes; ends the job after some runs."""

    def __init__(self, stop_after: int | None = None) -> None:
        super().__init__()
        self.rounds: list[tuple[str, str]] = []
        self.runs = 0
        self._stop_after = stop_after

    def update(self, job: JobProgress, units: Mapping[str, Unit], events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, Measured):
                self.runs += 1
                place = "/".join(event.run.key.rsplit("/", 3)[1:3])
                if (event.run.round_id, place) not in self.rounds:
                    self.rounds.append((event.run.round_id, place))
                if self.runs == self._stop_after:
                    raise Stop


class Bench:
    """A home, and what its devices are."""

    def __init__(self, folder: Path, store: Store, factory: object, **sides: str) -> None:
        self.folder, self.store, self.factory = folder, store, factory
        self.a, self.b = sides.get("a", "runtime=onnxruntime"), sides.get("b", "runtime=tflite")

    def submitted(self, *, rounds: int, target: float) -> Submission:
        spec = spec_of(JOB, parse_side(self.a, option="--a"), parse_side(self.b, option="--b"), rounds=rounds, target=target)
        found, self.sources = submit.submit(spec, self.folder, self.store)
        spec = found.spec
        self.pairs = plan_pairs(spec, found.plan)
        self.keys = self.pairs.keys
        wanted = {key for pair in self.keys for key in pair}
        strategy = PairStrategy(self.keys, spec.id, StopRule(target))
        return replace(found, plan=tuple(m for m in found.plan if m.key in wanted), strategy=strategy)

    def run(self, *, rounds: int = 12, target: float = 0.01, stop_after: int | None = None) -> tuple[Watch, JobOutcome]:
        submitted, watch = self.submitted(rounds=rounds, target=target), Watch(stop_after)
        with closing(LocalPool(state_dir=self.folder / "agents", agent_factory=self.factory)) as pool:  # type: ignore[arg-type]
            outcome = Farm(self.store, pool, self.folder / "models", str(process_identity.me()), "a test").run(
                submitted, self.sources, watch
            )
        self.spec = submitted.spec
        return watch, outcome

    def outcome(self, margin: float = 0.03) -> Comparison:
        return compared(self.store, self.spec.id, self.pairs, names_of(self.spec), margin=margin, confidence=0.95)


def simulated(folder: Path, store: Store, *, slower: float, one: float = 1.0, seed: int = 0) -> Bench:
    """B takes `slower` times as long as A; one workload `one` times more."""
    store.put_device(Device("desk", PROFILE, "local", LocalAddress()))
    bench = Bench(folder, store, None)
    workshop_of = bench.submitted(rounds=2, target=0.01)
    task_builder = TaskBuilder(folder / "models", bench.sources)
    latencies: dict[str, float] = {}
    for number, pair in enumerate(bench.keys):
        plan = {m.key: m for m in workshop_of.plan}
        for key, factor in zip(pair, (1.0, slower * (one if number == 2 else 1.0)), strict=True):
            latencies[task_builder.task(plan[key], None).artifact.sha256] = 60_000.0 * 1.3**number * factor
    bench.factory = SimulatedAgents({"desk": SimulatedDevice(noise=NOISE, seed=seed, latencies_ns=latencies)})
    return bench


@pytest.fixture
def store(tmp_path: Path):
    with open_store(tmp_path / "home") as opened:
        yield opened


def test_processes_alternate_in_balanced_pairs_and_a_slower_side_is_found(tmp_path: Path, store: Store) -> None:
    bench = simulated(tmp_path, store, slower=1.08)
    watch, _ = bench.run()
    sides = [place.partition("/")[2].partition("-")[0] for _, place in watch.rounds]
    pairs = [sides[at : at + 2] for at in range(0, len(sides), 2)]
    expected = [["onnxruntime", "tflite"] if a_first(bench.spec.id, n) else ["tflite", "onnxruntime"] for n in range(len(pairs))]
    assert pairs == expected
    assert watch.runs == len(sides) * len(OPERATORS)
    found = bench.outcome()
    assert found.verdict == "slower"
    assert found.low < 1.08 < found.high
    assert found.high / found.low < 1.03
    assert len(found.workloads) == len(OPERATORS)
    assert all(w.slower and w.differs for w in found.workloads)
    assert (found.lone_rounds, found.left_out) == (0, {})


def test_equal_sides_are_not_slower_and_stop_early(tmp_path: Path, store: Store) -> None:
    bench = simulated(tmp_path, store, slower=1.0, seed=4)
    watch, ended = bench.run(rounds=40, target=0.02)
    assert 8 <= ended.job.rounds < 40
    assert len(watch.rounds) == 2 * ended.job.rounds
    found = bench.outcome()
    assert found.verdict == "not slower"
    assert not any(w.slower for w in found.workloads)
    assert found.rounds_to_settle is None


def test_one_slow_workload_among_equal_ones_is_slower(tmp_path: Path, store: Store) -> None:
    bench = simulated(tmp_path, store, slower=1.0, one=1.15, seed=2)
    bench.run(rounds=8)
    found = bench.outcome()
    assert found.high < 1.03
    assert [w.workload for w in found.workloads if w.slower] == [f"operator:{OPERATORS[2]}"]
    assert found.verdict == "slower"


def scripted(folder: Path, store: Store, scripts: dict[str, Script], **sides: str) -> Bench:
    for name in scripts:
        store.put_device(Device(name, PROFILE, "local", LocalAddress()))
    return Bench(folder, store, ScriptedAgents(scripts), **sides)


def test_two_interpreters_of_one_machine_never_run_at_once(tmp_path: Path, store: Store) -> None:
    bench = scripted(
        tmp_path, store, {"desk": Script(), "new": Script()}, a="device=desk,runtime=tflite", b="device=new,runtime=tflite"
    )
    watch, ended = bench.run(rounds=4)
    units = [place.partition("/")[0] for _, place in watch.rounds]
    assert [set(units[at : at + 2]) for at in range(0, len(units), 2)] == [{"desk", "new"}] * (len(units) // 2)
    assert {unit.machine_id for unit in ended.units.values()} == {HELLO.machine_id}
    assert bench.outcome().verdict == "not slower"


@pytest.mark.parametrize("device", ["desk", "new"])
def test_it_measures_nothing_before_it_has_both_devices(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setattr(held_devices, "ASK_AGAIN_S", 0.0)
    bench = scripted(
        tmp_path, store, {"desk": Script(), "new": Script()}, a="device=desk,runtime=tflite", b="device=new,runtime=tflite"
    )
    theirs = store.acquire(device, owner="bob", holder="bob: a check", now_s=time.time(), ttl_s=600.0)
    assert isinstance(theirs, Lease)
    waits: list[str] = []

    class Waits(Watch):
        def waiting(self, device: str, holder: str) -> None:
            waits.append(device)
            assert self.runs == 0
            if device == "desk":  # who has no desk keeps no other from whoever has it
                assert store.lease_holder("new", time.time()) is None
            if len(waits) == 3:
                store.release(theirs)

    submitted = bench.submitted(rounds=4, target=0.01)
    with closing(LocalPool(state_dir=tmp_path / "agents", agent_factory=bench.factory)) as pool:  # type: ignore[arg-type]
        farm = Farm(store, pool, tmp_path / "models", str(process_identity.me()), "a test")
        ended = farm.run(submitted, bench.sources, Waits())
    assert waits == [device] * 3
    assert ended.whole


def test_two_machines_are_refused(tmp_path: Path, store: Store) -> None:
    other = Script(hello=replace(HELLO, machine_id="1" * 32))
    sides = {"a": "device=desk,runtime=tflite", "b": "device=pi,runtime=tflite"}
    bench = scripted(tmp_path, store, {"desk": Script(), "pi": other}, **sides)
    with pytest.raises(SpecError, match="are two machines"):
        bench.run()


@pytest.mark.parametrize("ids", [("1" * 32, "1" * 32), ("1" * 32, "")], ids=["a new boot", "one can't tell"])
def test_only_what_both_say_now_tells_machines_apart(tmp_path: Path, store: Store, ids: tuple[str, str]) -> None:
    scripts = {name: Script(hello=replace(HELLO, machine_id=each)) for name, each in zip(("desk", "new"), ids, strict=True)}
    bench = scripted(tmp_path, store, scripts, a="device=desk,runtime=tflite", b="device=new,runtime=tflite")
    store.put_hello("desk", replace(HELLO, machine_id="2" * 32), 0.0)
    store.put_hello("new", replace(HELLO, machine_id="3" * 32), 0.0)  # registered after another boot
    bench.run(rounds=2)
    assert bench.outcome().pairs == 2


def test_a_workload_that_fails_on_one_side_is_left_out_and_said(tmp_path: Path, store: Store) -> None:
    desk = scripted(tmp_path, store, {"desk": Script()})
    desk.submitted(rounds=2, target=0.01)
    failing = desk.keys[0][1]
    bench = scripted(tmp_path, store, {"desk": Script(failures={failing: Failure("OutOfMemory", "40 GB")})})
    watch, _ = bench.run(rounds=4)
    found = bench.outcome()
    assert len(found.workloads) == len(OPERATORS) - 1
    assert found.left_out == {f"operator:{OPERATORS[0]}": "failed on B: OutOfMemory: 40 GB"}
    assert watch.runs == len(watch.rounds) * (len(OPERATORS) - 1)
    assert found.high < 1.03
    assert (found.verdict, found.rounds_to_settle) == ("undecided", None)  # what failed may be the slow one


class Disturbed(FakeAgent):
    """One workload of tflite is never undisturbed but in its first process."""

    def _run(self, round_: Round, task: Task, status: Literal["complete", "truncated"]) -> Run:
        run = super()._run(round_, task, status)
        if task.measurement.workload.name != OPERATORS[1] or "tflite" not in run.key or round_.index == 0:
            return run
        return replace(run, slices=tuple(replace(piece, quiet=False, involuntary_switches=3) for piece in run.slices))


def test_a_workload_without_two_quiet_pairs_is_left_out_and_said(tmp_path: Path, store: Store) -> None:
    bench = scripted(tmp_path, store, {"desk": Script()})
    bench.factory = lambda device, folder, cpus: Disturbed(device, Script())
    bench.run(rounds=4)
    found = bench.outcome()
    assert found.left_out == {f"operator:{OPERATORS[1]}": "of 4 pairs 1 had a quiet window on both sides, two are needed"}
    assert found.verdict == "undecided"
    assert {w.statistic for w in found.workloads} == {"p25_quiet"}


class Throttled(FakeAgent):
    """One workload of tflite runs on a device that says that it throttles."""

    def _run(self, round_: Round, task: Task, status: Literal["complete", "truncated"]) -> Run:
        run = super()._run(round_, task, status)
        hot = task.measurement.workload.name == OPERATORS[1] and "tflite" in run.key
        return replace(run, throttled=hot, reference_provisional=True)


def test_what_made_one_side_slower_is_said_beside_its_ratio(tmp_path: Path, store: Store) -> None:
    bench = scripted(tmp_path, store, {"desk": Script()})
    bench.factory = lambda device, folder, cpus: Throttled(device, Script())
    bench.run(rounds=4)
    flagged = {w.workload: w.flags for w in bench.outcome().workloads}
    assert "throttled" in flagged[f"operator:{OPERATORS[1]}"]
    assert all("throttled" not in flags for name, flags in flagged.items() if name != f"operator:{OPERATORS[1]}")
    assert all("reference_provisional" not in flags for flags in flagged.values())  # it is the same for both sides


class SlowAtFirst(FakeAgent):
    """The machine is slow in the first two processes of tflite, which pass their own gate: nothing else is known yet."""

    def __init__(self, device: Device, script: Script) -> None:
        super().__init__(device, script)
        self.began_s: dict[str, float] = {}

    def _run(self, round_: Round, task: Task, status: Literal["complete", "truncated"]) -> Run:
        run = super()._run(round_, task, status)
        canary_ns = 105_000 if "tflite" in run.key and round_.index < 2 else 70_000
        slow = tuple(replace(piece, canary_before_ns=canary_ns, canary_after_ns=canary_ns) for piece in run.slices)
        began_s = self.began_s.setdefault(round_.id, run.started_s)  # one for all runs of a round, as devices say it
        return replace(run, slices=slow, canary_reference_ns=canary_ns, started_s=began_s)


def test_it_is_enough_by_the_canary_of_the_end_not_of_the_time(tmp_path: Path, store: Store) -> None:
    bench = scripted(tmp_path, store, {"desk": Script()})
    bench.factory = lambda device, folder, cpus: SlowAtFirst(device, Script())
    _, ended = bench.run(rounds=20)
    found = bench.outcome()
    assert (ended.job.rounds, found.pairs) == (10, 8)  # two pairs of ten are disturbed, and eight are enough
    assert found.verdict == "not slower"


def test_a_side_that_breaks_down_ends_it(tmp_path: Path, store: Store) -> None:
    broken = Script(errors={"measure": ("NotReady", "its fan is off")})
    bench = scripted(
        tmp_path, store, {"desk": Script(), "new": broken}, a="device=desk,runtime=tflite", b="device=new,runtime=tflite"
    )
    _, ended = bench.run(rounds=4)
    assert ended.units["new"].out == "quarantined"
    with pytest.raises(NothingCompared, match="nothing can be compared yet"):
        bench.outcome()


def test_broken_off_it_goes_on_and_measures_nothing_twice(tmp_path: Path, store: Store) -> None:
    bench = scripted(tmp_path, store, {"desk": Script()})
    with pytest.raises(Stop):
        bench.run(rounds=4, target=1e-9, stop_after=3 * len(OPERATORS))  # in the middle of the second pair
    watch, _ = bench.run(rounds=4, target=1e-9)
    assert watch.runs == (8 - 3) * len(OPERATORS)
    assert (bench.outcome().pairs, bench.outcome().lone_rounds) == (4, 0)
    again, _ = bench.run(rounds=4, target=1e-9)
    assert again.runs == 0
    more, _ = bench.run(rounds=6, target=1e-9)  # the same job, for longer
    assert more.runs == 4 * len(OPERATORS)
