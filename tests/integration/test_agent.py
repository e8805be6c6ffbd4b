"""DeviceAgent with the real runner and its simulated runtime: faults, cancels, links that break."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from tests import pool_kit as kit
from tests.tools_kit import RUNTIME, SCRIPT

from lutfarm_agents.conditions.read_temperature import Climate
from lutfarm_agents.device import Claim
from lutfarm_agents.interface import Advance
from lutfarm_agents.runner_agent import DeviceAgent
from lutfarm_agents.wire import commands
from lutfarm_agents.wire.commands import probe_batches
from lutfarm_jobs.errors import LinkLost, SpecError, TransferFailed
from lutfarm_jobs.measurement import Backend, Measurement, Workload
from lutfarm_jobs.round import Artifact, Expected, Limits, Slicing, Task
from lutfarm_jobs.run import Probe, Run

CLAIM = Claim("desk", "test 1", "anna", "f" * 32, 1)
LIMITS = Limits(memory_bytes=1 << 29, load_s=30, iteration_s=5)  # a busy machine takes two to fill the memory


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    kit.write_profile(tmp_path / "config", tmp_path / "device.lock")
    return tmp_path / "device.lock"


@pytest.fixture
def agent(lock: Path, tmp_path: Path) -> Iterator[DeviceAgent]:
    found = DeviceAgent(kit.device("desk"), state_dir=tmp_path / "state")
    assert list(found.prepare(CLAIM)) == []
    assert found.ready
    yield found
    found.close()


POWER = Path("/proc/sys/kernel/pid_max")  # a number that stays: as good as a sensor


def test_a_kind_with_a_warm_up_and_a_power_sensor(lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kit.write_profile(tmp_path / "config", lock, more=f"warm_up_s: 0.05\npower_sensor: {{path: {POWER}, unit: mW}}\n")
    models: dict[str, Path] = {}
    tasks = [task(tmp_path, models, "good", iteration_ns=30_000)]
    canary, path = kit.model(tmp_path, name="canary", iteration_ns=5_000)
    models[canary.sha256] = path
    idle: list[bool] = []

    def noted(*args: Any, **named: Any) -> dict[str, object]:
        idle.append(named["idle"])
        return commands.round_(*args, **named)

    monkeypatch.setattr("lutfarm_agents.runner_agent.commands", SimpleNamespace(**{**vars(commands), "round_": noted}))
    monkeypatch.setattr("lutfarm_agents.runner_agent.IDLE_S", 3600.0)
    agent = DeviceAgent(kit.device("desk"), state_dir=tmp_path / "state")
    assert list(agent.prepare(CLAIM)) == []
    plan = agent.profile.slicing(Slicing(passes=2))
    assert plan.warm_up_ns == 50_000_000
    (run,) = runs(list(agent.measure(a_round(tasks, canary, slicing=plan), models=models)))
    assert agent.spent_ns["warmup"] >= plan.warm_up_ns
    assert run.before is not None
    assert run.after is not None
    watts = int(POWER.read_text()) / 1000
    assert (run.before.power_w, run.after.power_w) == (watts, watts)
    (again,) = runs(list(agent.measure(a_round(tasks, canary, slicing=plan), models=models)))
    assert idle == [True, False]
    assert dict(again.fingerprint) == dict(run.fingerprint)  # whether it had to warm up is not what is measured
    agent.close()


def test_a_tool_on_a_device_with_python_is_measured_with_its_surroundings(lock: Path, tmp_path: Path) -> None:
    kit.write_profile(tmp_path / "config", lock, more=f"power_sensor: {{path: {POWER}, unit: mW}}\n")
    tool = tmp_path / "benchmark model"
    tool.write_text(SCRIPT)
    tool.chmod(0o755)
    artifact, path = kit.model(tmp_path, name="model")
    known = {artifact.sha256: path}
    tasks = [Task(Measurement(Workload("operator", name), "desk", Backend(RUNTIME)), artifact) for name in ("one", "two")]
    agent = DeviceAgent(kit.device("desk", tools={RUNTIME: str(tool)}), state_dir=tmp_path / "state")
    assert list(agent.prepare(CLAIM)) == []
    found = runs(list(agent.measure(a_round(tasks, artifact), models=known)))
    agent.close()
    assert [run.summary.estimate_ns for run in found if run.summary] == [850_000] * 2
    watts = int(POWER.read_text()) / 1000
    for run in found:
        assert run.before is not None
        assert run.after is not None
        assert (run.before.power_w, run.after.power_w) == (watts, watts)
        assert (run.before.memory_available_bytes or 0) > 0
    assert found[0].after is found[1].before  # one look between two


def task(folder: Path, models: dict[str, Path], name: str, **fields: object) -> Task:
    artifact, path = kit.model(folder, name=name, **fields)
    models[artifact.sha256] = path
    return kit.task("desk", name, artifact)


def runner_pid(lock: Path) -> int:
    return int(json.loads(lock.read_text())["pid"])


def runs(items: list[Run | Advance]) -> list[Run]:
    return [item for item in items if isinstance(item, Run)]


def a_round(tasks: list[Task], canary: Artifact, **changes: object):
    order = kit.measuring("desk", *tasks, canary=canary).round
    return replace(order, limits=LIMITS, **changes)


def test_every_fault_is_a_result_and_the_others_are_probed(agent: DeviceAgent, tmp_path: Path) -> None:
    models: dict[str, Path] = {}
    tasks = [
        task(tmp_path, models, "good", iteration_ns=30_000),
        task(tmp_path, models, "crash", fault="segv", after=1),
        task(tmp_path, models, "crash-in-loading", fault="abort", after=0),
        task(tmp_path, models, "refuses", fault="raise", after=0),
        task(tmp_path, models, "hungry", fault="memory", after=1),
        task(tmp_path, models, "hangs", fault="hang", after=1),
        task(tmp_path, models, "noisy", fault="print", after=1),
        task(tmp_path, models, "unsteady", fault="unstable"),
        task(tmp_path, models, "last", iteration_ns=30_000, extra=1),
    ]
    probes = list(agent.probe(tasks, limits=LIMITS, models=models))
    assert [probe.key for probe in probes] == [t.measurement.key for t in tasks]
    codes = {t.measurement.workload.name: p.failure.code if p.failure else "" for t, p in zip(tasks, probes, strict=True)}
    assert codes == {
        "good": "",
        "crash": "WorkloadFailed",
        "crash-in-loading": "WorkloadFailed",
        "refuses": "WorkloadFailed",
        "hungry": "OutOfMemory",
        "hangs": "WorkloadTimeout",
        "noisy": "",
        "unsteady": "Unstable",
        "last": "",
    }
    assert (probes[0].iteration_ns or 0) >= 30_000
    assert agent.pushed == 9
    assert agent.ready


def test_each_model_is_copied_once(agent: DeviceAgent, tmp_path: Path) -> None:
    models: dict[str, Path] = {}
    good = task(tmp_path, models, "good")
    for _ in range(2):
        assert len(list(agent.probe([good, good], limits=LIMITS, models=models))) == 2
    assert agent.pushed == 1
    assert "transfer" in agent.spent_ns


def test_more_probes_than_one_command_holds_come_all(agent: DeviceAgent, tmp_path: Path) -> None:
    models: dict[str, Path] = {}
    good = task(tmp_path, models, "good", values=[1.0, 2.0])
    large = Expected((1,) * 60_000, (2.0,) * 60_000, 2.0)  # 480 kB of JSON: one line holds one of them
    tasks = [replace(good, expected=large, measurement=kit.task("desk", f"n{number}").measurement) for number in range(5)]
    assert len(list(probe_batches(tasks, lambda artifact: artifact.file_name))) > 1
    keys = [probe.key for probe in agent.probe(tasks, limits=LIMITS, models=models)]
    assert keys == [t.measurement.key for t in tasks]


def test_a_crash_in_mid_round_fails_one_and_the_next_round_goes_on(agent: DeviceAgent, tmp_path: Path) -> None:
    models: dict[str, Path] = {}
    good = task(tmp_path, models, "good", iteration_ns=30_000)
    bomb = task(tmp_path, models, "bomb", iteration_ns=30_000, fault="segv", after=60)
    found = runs(list(agent.measure(a_round([good, bomb], good.artifact), models=models)))
    by_name = {run.key.split("/")[1]: run for run in found}
    assert by_name["operator:bomb"].status == "failed"
    assert by_name["operator:bomb"].failure is not None
    assert by_name["operator:bomb"].failure.code == "WorkloadFailed"
    assert by_name["operator:good"].status == "truncated"
    (again,) = runs(list(agent.measure(a_round([good], good.artifact), models=models)))
    assert (again.status, again.key) == ("complete", good.measurement.key)
    assert again.before is not None
    assert again.after is not None


def test_progress_comes_before_the_runs(agent: DeviceAgent, tmp_path: Path) -> None:
    models: dict[str, Path] = {}
    tasks = [task(tmp_path, models, name, iteration_ns=30_000) for name in ("a", "b")]
    items = list(agent.measure(a_round(tasks, tasks[0].artifact), models=models))
    steps = [item for item in items if isinstance(item, Advance)]
    assert [step.done for step in steps] == list(range(1, len(steps) + 1))
    assert all(step.total == 2 * kit.PLAN.passes for step in steps)
    assert [isinstance(item, Run) for item in items[-2:]] == [True, True]
    assert sum(agent.spent_ns.values()) > 0
    assert {"slices", "canary", "import", "load", "other"} <= set(agent.spent_ns)


@pytest.mark.parametrize("victim", ["runner", "round"])
def test_a_runner_that_dies_in_mid_round_is_a_lost_link_and_another_one_follows(
    agent: DeviceAgent, lock: Path, tmp_path: Path, victim: str
) -> None:
    models: dict[str, Path] = {}
    slow = task(tmp_path, models, "slow", iteration_ns=3_000_000)
    order = a_round([slow] * 50, slow.artifact, slicing=replace(kit.PLAN, passes=40))
    stream = agent.measure(order, models=models)
    assert isinstance(next(stream), Advance)
    family = [runner_pid(lock), *(p.pid for p in psutil.Process(runner_pid(lock)).children(recursive=True))]
    os.kill(family[0] if victim == "runner" else family[-1], signal.SIGKILL)
    left: list[Run | Advance] = []
    if victim == "runner":
        with pytest.raises(LinkLost, match="SIGKILL"):
            left.extend(iter(lambda: _next_into(stream, left), None))
        assert not agent.ready
        kit.until(lambda: not any(map(kit.running, family)), "the round outlived its supervisor")
        assert list(agent.prepare(CLAIM)) == []
    else:  # the round's process only: a result, no broken link
        left.extend(stream)
        assert agent.ready
    found = runs(left)
    assert found
    assert {run.status for run in found} <= {"truncated", "failed"}
    (again,) = runs(list(agent.measure(a_round([slow], slow.artifact), models=models)))
    assert again.status == "complete"


def _next_into(stream: Iterator[Run | Advance], left: list[Run | Advance]) -> Run | Advance:
    """The next item, kept in `left` too, so that it is there when the one after it is an error."""
    item = next(stream)
    left.append(item)
    return item


def test_cancel_ends_a_round_soon_and_the_session_lives(agent: DeviceAgent, lock: Path, tmp_path: Path) -> None:
    models: dict[str, Path] = {}
    slow = task(tmp_path, models, "slow", iteration_ns=3_000_000)
    order = a_round([slow] * 50, slow.artifact, slicing=replace(kit.PLAN, passes=400))
    stream = agent.measure(order, models=models)
    assert isinstance(next(stream), Advance)
    before = runner_pid(lock)
    threading.Timer(0.1, agent.cancel).start()
    found = runs(list(stream))
    assert {run.status for run in found} == {"truncated"}
    assert agent.ready
    (again,) = runs(list(agent.measure(a_round([slow], slow.artifact), models=models)))
    assert again.status == "complete"
    assert runner_pid(lock) == before


def test_cancel_before_it_began_leaves_nothing_to_do(agent: DeviceAgent, tmp_path: Path) -> None:
    models: dict[str, Path] = {}
    good = task(tmp_path, models, "good")
    rounds = agent.measure(a_round([good], good.artifact), models=models)
    agent.cancel()
    assert list(rounds) == []
    probes = agent.probe([good], limits=LIMITS, models=models)
    agent.cancel()
    assert list(probes) == []


def test_closing_ends_the_runner_and_frees_the_lock(agent: DeviceAgent, lock: Path, tmp_path: Path) -> None:
    pid = runner_pid(lock)
    agent.close()
    kit.until(lambda: not kit.running(pid), "the runner lives on")
    other = DeviceAgent(kit.device("desk"), state_dir=tmp_path / "other")
    assert list(other.prepare(replace(CLAIM, owner="test 2", farm_id="e" * 32))) == []
    other.close()


def test_hello_needs_no_lock(agent: DeviceAgent, tmp_path: Path) -> None:
    other = DeviceAgent(kit.device("desk"), state_dir=tmp_path / "other")
    assert other.hello().machine_id == agent.hello().machine_id
    assert not other.ready
    other.close()


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ("missing", TransferFailed, "names no file"),
        ("altered", TransferFailed, "changed"),
        ("unreadable", TransferFailed, "can't be read"),
    ],
)
def test_a_model_that_is_not_what_it_should_be_is_not_sent(
    agent: DeviceAgent, tmp_path: Path, change: str, error: type[Exception], said: str
) -> None:
    models: dict[str, Path] = {}
    good = task(tmp_path, models, "good")
    if change == "missing":
        models.clear()
    elif change == "altered":
        models[good.artifact.sha256].write_text("{}")
    else:
        models[good.artifact.sha256].unlink()
    with pytest.raises(error, match=said):
        list(agent.probe([good], limits=LIMITS, models=models))
    assert agent.pushed == 0


def test_more_threads_than_cores_are_refused(agent: DeviceAgent, tmp_path: Path) -> None:
    models: dict[str, Path] = {}
    good = task(tmp_path, models, "good")
    many = replace(good, measurement=replace(good.measurement, backend=replace(kit.SIMULATED, threads=4096)))
    with pytest.raises(SpecError, match="4096 threads"):  # the job's mistake: the device is not quarantined for it
        list(agent.probe([many], limits=LIMITS, models=models))


def test_a_sustained_load_is_a_time_series_in_windows(agent: DeviceAgent, tmp_path: Path) -> None:
    models: dict[str, Path] = {}
    tasks = [task(tmp_path, models, f"n{number}", iteration_ns=200_000) for number in range(2)]
    canary, path = kit.model(tmp_path, name="canary", iteration_ns=20_000)
    models[canary.sha256] = path
    order = a_round(tasks, canary, slicing=Slicing(passes=5, sustained_ns=500_000_000))
    found = runs(list(agent.measure(order, models=models)))
    assert [run.status for run in found] == ["complete", "complete"]
    for run in found:
        assert [piece.pass_index for piece in run.slices] == [0, 1, 2, 3, 4]
        assert all(piece.wall_ns >= 100_000_000 and not piece.gated for piece in run.slices)
        assert all(10 <= len(piece.samples_ns) <= 1000 for piece in run.slices)
    assert found[0].fingerprint["slicing"] != a_plan_fingerprint(agent, tmp_path, models, canary)


def a_plan_fingerprint(agent: DeviceAgent, folder: Path, models: dict[str, Path], canary: Artifact) -> str:
    (run,) = runs(list(agent.measure(a_round([task(folder, models, "plain")], canary), models=models)))
    return run.fingerprint["slicing"]


def test_a_throttled_round_is_marked_and_refused_where_it_must_not_be(
    agent: DeviceAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models: dict[str, Path] = {}
    good = task(tmp_path, models, "good")
    canary, path = kit.model(tmp_path, name="canary", iteration_ns=20_000)
    models[canary.sha256] = path
    monkeypatch.setattr(Climate, "throttled", lambda *_: True)
    (marked,) = runs(list(agent.measure(a_round([good], canary), models=models)))
    assert (marked.status, marked.throttled) == ("complete", True)
    (refused,) = runs(list(agent.measure(a_round([good], canary, strict=True), models=models)))
    assert refused.status == "failed"
    assert refused.failure is not None
    assert refused.failure.code == "Unstable"
    assert "let it cool" in refused.failure.detail


def test_probes_name_the_runtime_and_no_plan(agent: DeviceAgent, tmp_path: Path) -> None:
    models: dict[str, Path] = {}
    (probe,) = agent.probe([task(tmp_path, models, "good")], limits=LIMITS, models=models)
    assert isinstance(probe, Probe)
    assert "slicing" not in probe.fingerprint
    assert probe.fingerprint["runner_sha256"] == agent.hello().runner_sha256
