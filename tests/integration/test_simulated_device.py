"""A simulated device behind the real agent, session and wire, alone and in a whole job."""

from __future__ import annotations

import os
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tests.farm_kit import Quiet

from lutfarm.agent_pool.local import LocalPool
from lutfarm.execution.run_job import Farm
from lutfarm.execution.task_builder import TaskBuilder
from lutfarm.monitoring.device_status import devices_status
from lutfarm.results.job_entries import judged
from lutfarm.statistics import sample, summarize
from lutfarm.store import Store, open_store
from lutfarm.submission import submit
from lutfarm_agents import process_identity
from lutfarm_agents.address import LocalAddress
from lutfarm_agents.device import Claim, Device
from lutfarm_agents.interface import Advance
from lutfarm_agents.testing import (
    Contended,
    LogNormal,
    Machine,
    ProcessOffsets,
    SimulatedAgent,
    SimulatedAgents,
    SimulatedDevice,
    SimulatedRunner,
    Thermal,
    TwoStates,
    WarmUp,
    compose,
)
from lutfarm_agents.wire.session import RunnerSession
from lutfarm_jobs.errors import LinkLost, ProtocolMismatch, ReplyTimeout, SpecError
from lutfarm_jobs.file_hash import file_sha256
from lutfarm_jobs.measurement import Backend, Measurement, Workload
from lutfarm_jobs.round import Artifact, Lease, Limits, Round, Slicing, Task
from lutfarm_jobs.run import Run
from lutfarm_jobs.spec import JobSpec, parse_job

CLAIM = Claim("desk", "me", "a test", "farm", 1)
ORT = Backend("onnxruntime")
DEVICE = Device("desk", f"generic-linux-{os.uname().machine}", "local", LocalAddress())
LATENCIES = (50_000.0, 300_000.0, 9_000_000.0)


class Bench:
    """Tasks with known latencies, their files and an agent on a simulated device."""

    def __init__(self, folder: Path, simulated: SimulatedDevice, latencies_ns: tuple[float, ...] = LATENCIES) -> None:
        self.models: dict[str, Path] = {}
        artifacts = [self._file(folder, name) for name in ("canary", *map(str, latencies_ns))]
        self.canary = artifacts[0]
        self.tasks = tuple(
            Task(Measurement(Workload("operator", f"op{n}"), "desk", ORT), artifact) for n, artifact in enumerate(artifacts[1:])
        )
        latencies = {artifact.sha256: ns for artifact, ns in zip(artifacts[1:], latencies_ns, strict=True)}
        self.agent = SimulatedAgent(DEVICE, replace(simulated, latencies_ns=latencies), state_dir=folder / "state")

    def _file(self, folder: Path, name: str) -> Artifact:
        path = folder / f"{name}.onnx"
        path.write_text(name)
        self.models[file_sha256(path)] = path
        return Artifact(file_sha256(path), path.stat().st_size, ".onnx")

    def round(self, plan: Slicing, *, index: int = 0, reference_ns: int | None = 70_000) -> list[Run]:
        order = Round(f"r{index}", index, self.tasks, plan, 5 + index, self.canary, reference_ns)
        return [found for found in self.agent.measure(order, models=self.models) if not isinstance(found, Advance)]


@pytest.fixture
def quiet(tmp_path: Path) -> Bench:
    made = Bench(tmp_path, SimulatedDevice(noise=compose(LogNormal(0.02), WarmUp())))
    assert list(made.agent.prepare(CLAIM)) == []
    return made


def test_a_long_workload_on_a_busy_machine_is_tried_again_within_a_pass(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SimulatedDevice(noise=compose(TwoStates(fast_s=(0.02,), slow_s=(0.02,))), seed=3))
    assert list(bench.agent.prepare(CLAIM)) == []
    plan = Slicing(passes=6)
    advances: list[Advance] = []
    order = Round("r0", 0, bench.tasks, plan, 5, bench.canary, 70_000)
    runs: list[Run] = []
    for found in bench.agent.measure(order, models=bench.models):
        (advances if isinstance(found, Advance) else runs).append(found)  # type: ignore[arg-type]
    long = runs[2]
    tries = [sum(piece.pass_index == index for piece in long.slices) for index in range(plan.passes)]
    assert max(tries) > 1
    assert all(1 <= count <= plan.long_tries for count in tries)
    assert {piece.quiet for piece in long.slices} == {True, False}
    for index in range(plan.passes):  # the last one of a visit is quiet, or there were as many as there may be
        mine = [piece for piece in long.slices if piece.pass_index == index]
        assert mine[-1].quiet or len(mine) == plan.long_tries
        assert not any(piece.quiet for piece in mine[:-1])
    assert max(one.done for one in advances) <= advances[-1].total


def test_probes_and_rounds_go_through_the_agent_with_their_structure(quiet: Bench) -> None:
    assert quiet.agent.ready
    probes = list(quiet.agent.probe(quiet.tasks, limits=Limits(), models=quiet.models))
    for probe, latency_ns in zip(probes, LATENCIES, strict=True):
        assert probe.failure is None
        assert probe.iteration_ns == pytest.approx(latency_ns, rel=0.1)
    plan = Slicing(passes=4)
    runs = quiet.round(plan)
    assert [run.key for run in runs] == [task.measurement.key for task in quiet.tasks]
    for run, latency_ns in zip(runs, LATENCIES, strict=True):
        assert (run.status, run.device, run.round_index, run.reference_provisional) == ("complete", "desk", 0, False)
        assert [piece.pass_index for piece in run.slices] == [0, 1, 2, 3]
        assert all(piece.quiet and piece.gated == (latency_ns <= plan.long_ns) for piece in run.slices)
        samples = sorted(value for piece in run.slices for value in piece.samples_ns)
        assert samples[len(samples) // 2] == pytest.approx(latency_ns, rel=0.05)
        assert run.fingerprint["runtime"] == "onnxruntime 1.0"
        assert run.after is not None
    assert 0 < sum(quiet.agent.spent_ns.values()) < 3e9


def test_the_same_seed_gives_the_same_samples(tmp_path: Path) -> None:
    simulated = SimulatedDevice(noise=compose(LogNormal(), TwoStates(), ProcessOffsets(), WarmUp()), seed=9)

    def play(name: str) -> list[tuple[int, ...]]:
        folder = tmp_path / name
        folder.mkdir()
        made = Bench(folder, simulated)
        list(made.agent.prepare(CLAIM))
        return [piece.samples_ns for index in range(2) for run in made.round(Slicing(), index=index) for piece in run.slices]

    assert play("one") == play("two")


def test_on_a_coarse_clock_short_operators_are_timed_in_blocks(tmp_path: Path) -> None:
    latencies_ns = (600.0, 1_400.0, 2_500.0, 7_300.0, 250_000.0)
    made = Bench(tmp_path, SimulatedDevice(noise=compose(LogNormal(0.003)), clock_step_ns=1000), latencies_ns)
    list(made.agent.prepare(CLAIM))
    assert made.agent.hello().clock_resolution_ns == 1000
    probes = list(made.agent.probe(made.tasks, limits=Limits(), models=made.models))
    made.tasks = tuple(replace(task, iteration_ns=probe.iteration_ns) for task, probe in zip(made.tasks, probes, strict=True))
    by_round = [made.round(Slicing(), index=index) for index in range(4)]
    for runs, true_ns in zip(zip(*by_round, strict=True), latencies_ns, strict=True):
        found = sample(runs)
        assert found is not None
        summary = summarize(found)
        assert found.slices[0].block == pytest.approx(max(1, 100_000 / true_ns), rel=0.15)
        assert summary.interval.estimate == pytest.approx(true_ns, rel=0.012)
        assert summary.interval.low < true_ns < summary.interval.high
        assert ("in_blocks" in summary.flags) is (true_ns < 100_000)


def test_a_clock_that_is_far_too_coarse_gives_failures_or_intervals_that_hold_its_step(tmp_path: Path) -> None:
    made = Bench(tmp_path, SimulatedDevice(clock_step_ns=100_000), (2_500.0, 70_000.0, 9_000_000.0))
    list(made.agent.prepare(CLAIM))
    by_round = [made.round(Slicing(), index=index) for index in range(4)]
    for runs, true_ns in zip(zip(*by_round, strict=True), (2_500.0, 70_000.0, 9_000_000.0), strict=True):
        found = sample(runs)
        assert found is not None
        interval = summarize(found).interval
        assert interval.low <= true_ns <= interval.high
        assert interval.relative_half_width >= 0.5 * 100_000 / max(true_ns, 400_000)


def test_a_device_that_is_never_quiet_keeps_a_few_contended_slices(tmp_path: Path) -> None:
    made = Bench(tmp_path, SimulatedDevice(noise=compose(Contended())))
    list(made.agent.prepare(CLAIM))
    short, *_ = made.round(Slicing())
    assert [piece.quiet for piece in short.slices] == [False] * 3
    assert short.slices_rejected == 16
    assert made.round(Slicing(), reference_ns=None)[0].reference_provisional


def test_minutes_of_load_throttle_a_hot_device_in_virtual_time(tmp_path: Path) -> None:
    made = Bench(tmp_path, SimulatedDevice(noise=compose(Thermal())))
    list(made.agent.prepare(CLAIM))
    began_s = made.agent.now_s
    first, *_ = made.round(Slicing(passes=30, sustained_ns=120_000_000_000))
    assert made.agent.now_s - began_s >= 3 * 120
    levels = [sorted(piece.samples_ns)[len(piece.samples_ns) // 2] for piece in first.slices]
    assert len(levels) == 30
    assert max(levels) / min(levels) == pytest.approx(1.4, rel=0.01)
    assert first.before is not None
    assert first.after is not None
    assert (first.before.temperature_c or 0) < 40 < (first.after.temperature_c or 0)


def test_a_round_that_is_cancelled_ends_truncated(quiet: Bench) -> None:
    order = Round("r", 0, quiet.tasks, Slicing(passes=50), 5, quiet.canary, 70_000)
    statuses: list[str] = []
    for found in quiet.agent.measure(order, models=quiet.models):
        if isinstance(found, Advance):
            quiet.agent.cancel()
        else:
            statuses.append(found.status)
    assert set(statuses) == {"truncated"}
    assert [run.status for run in quiet.round(Slicing(passes=1))] == ["complete"] * 3


def test_a_runner_in_virtual_time_refuses_what_the_real_one_refuses(tmp_path: Path) -> None:
    def opened() -> tuple[RunnerSession, SimulatedRunner]:
        runner = SimulatedRunner(Machine(SimulatedDevice()), runner_sha256="a" * 64, epoch_s=0.0)
        session = RunnerSession(runner)
        assert session.hello().runner_sha256 == "a" * 64
        return session, runner

    session, runner = opened()
    with pytest.raises(SpecError, match="workloads"):
        list(session.round({"workloads": []}, known=1, passes=1, tries=1))
    runner.send("no JSON")
    with pytest.raises(ProtocolMismatch, match="not a JSON line"):
        list(session._until_done())
    runner.send('{"type":"dance"}')
    with pytest.raises(ProtocolMismatch, match="dance"):
        list(session._until_done())
    with pytest.raises(ReplyTimeout):
        runner.receive(1.0)
    session.stop()
    assert runner.wait(1.0).code == 0
    with pytest.raises(LinkLost):
        runner.send("{}")


def test_a_day_of_measuring_takes_seconds(quiet: Bench) -> None:
    began_s = quiet.agent.now_s
    for index in range(24):
        assert all(run.status == "complete" for run in quiet.round(Slicing(), index=index))
        quiet.agent.machine.rest(3600e9)
    assert quiet.agent.now_s - began_s >= 86_400


def test_a_whole_job_finds_the_true_latencies(tmp_path: Path) -> None:
    operators = [f"conv_H14_W14_Cin8_Cout{width}_k1_s1_g1_relu" for width in (8, 16, 24, 32)]
    job = {
        "name": "simulated",
        "workloads": [{"operators": operators}],
        "devices": ["desk"],
        "backends": [{"runtime": "onnxruntime"}],
        "sampling": {"rounds": 4},
    }
    simulated = SimulatedDevice(noise=compose(LogNormal(0.02), WarmUp()), seed=3, most_ns=1_000_000.0)
    with open_store(tmp_path / "home") as store:
        store.put_device(DEVICE)
        submitted, sources = submit.submit(parse_job(job, source="job"), tmp_path, store)
        task_builder = TaskBuilder(tmp_path / "models", sources)
        factory = SimulatedAgents({"desk": simulated})
        with closing(LocalPool(state_dir=tmp_path / "agents", agent_factory=factory)) as pool:
            outcome = Farm(store, pool, tmp_path / "models", str(process_identity.me()), "a test").run(
                submitted, sources, Quiet()
            )
        runs = list(store.runs(outcome.job_id))
    assert outcome.missing == ()
    assert len(runs) == 16
    truths = {m.key: simulated.estimand_ns(simulated.true_ns(task_builder.task(m, None).artifact.sha256)) for m in submitted.plan}
    for run in runs:
        samples = sorted(value for piece in run.slices if piece.quiet for value in piece.samples_ns)
        assert samples[len(samples) // 4] == pytest.approx(truths[run.key], rel=0.03)


def a_job(name: str, *, rounds: int) -> JobSpec:
    sampling = {"rounds": rounds, "passes": 4, "target_relative_interval": 0.000001}
    return parse_job(
        {
            "name": name,
            "workloads": [{"operators": ["conv_H14_W14_Cin8_Cout8_k1_s1_g1_relu"]}],
            "devices": ["desk"],
            "backends": [{"runtime": "onnxruntime"}],
            "sampling": sampling,
            "fresh": True,
        },
        source="job",
    )


def measured(store: Store, folder: Path, spec: JobSpec, *, hold_above: float | None = None) -> list[Run]:
    submitted, sources = submit.submit(spec, folder, store)
    policies = {unit: replace(each, care=replace(each.care, hold_above=hold_above)) for unit, each in submitted.policies.items()}
    factory = SimulatedAgents({"desk": SimulatedDevice(seed=3)})
    with closing(LocalPool(state_dir=folder / "agents", agent_factory=factory)) as pool:
        farm = Farm(store, pool, folder / "models", str(process_identity.me()), "a test")
        outcome = farm.run(replace(submitted, policies=policies), sources, Quiet())
    return list(store.runs(outcome.job_id))


def a_past(store: Store, today: Run, *, faster: float) -> None:
    """As if the canary had been so many times faster for twenty minutes, before what was measured today."""
    lease = store.acquire("desk", owner=str(process_identity.me()), holder="a test", now_s=time.time(), ttl_s=60.0)
    assert isinstance(lease, Lease)
    level_ns = round(today.slices[0].canary_before_ns / faster)
    slices = tuple(replace(piece, canary_before_ns=level_ns, canary_after_ns=level_ns) for piece in today.slices)
    runs = [
        replace(today, id=f"{n:032x}", round_id=f"{n:032x}", started_s=today.started_s - 60 * (21 - n), slices=slices)
        for n in range(20)
    ]
    store.commit(runs, lease, next(iter(store.jobs()))[0].id)
    store.release(lease)


@pytest.mark.parametrize("hold_above", [None, 1.3])
def test_a_device_whose_canary_drifted_is_reported_and_held_where_its_profile_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hold_above: float | None
) -> None:
    monkeypatch.setattr("lutfarm.canary.epochs.RECENT_SPAN_S", 0.0)  # the rounds of a simulated job take no minute
    with open_store(tmp_path / "home") as store:
        store.put_device(DEVICE)
        (today,) = measured(store, tmp_path, a_job("first", rounds=1))
        a_past(store, today, faster=1.4)
        runs = measured(store, tmp_path, a_job("second", rounds=12), hold_above=hold_above)
        record = store.device_record("desk", time.time())
        (shown,) = devices_status(store, time.time())
        judged_again = list(judged(store, "second"))
    assert all(not piece.quiet for run in runs for piece in run.slices)
    assert all(not run.reference_provisional for run in judged_again)
    assert shown.canary_settled == pytest.approx(1.4, rel=0.02)
    if hold_above is None:
        assert (record.state, len(runs)) == ("ready", 12)
    else:
        assert record.state == "maintenance"
        assert "release desk" in record.reason
        assert 3 <= len(runs) < 12
