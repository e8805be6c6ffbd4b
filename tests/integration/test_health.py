"""Checks of a real local device, and of scripted ones that fail in every way."""

from __future__ import annotations

import sys
import threading
import time
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from tests import pool_kit as kit
from tests.farm_kit import Quiet

from lutfarm.agent_pool.local import LocalPool
from lutfarm.devices import health_check, leases
from lutfarm.devices.health_check import check_device, event_of, limits_of
from lutfarm.execution.run_job import Farm
from lutfarm.home import Home
from lutfarm.records.device_state import DeviceEvent, DeviceRecord
from lutfarm.store import Store, open_store
from lutfarm.submission import submit
from lutfarm_agents import process_identity
from lutfarm_agents.address import LocalAddress
from lutfarm_agents.device import Claim, Device
from lutfarm_agents.health.check import CheckOrder, HealthReport, Reference, check
from lutfarm_agents.health.findings import Finding, HealthLimits
from lutfarm_agents.testing import FakeAgent, Script
from lutfarm_jobs.errors import FarmError, LeaseLost, LinkLost, NotReady, SpecError
from lutfarm_jobs.measurement import Backend, Measurement, Workload
from lutfarm_jobs.round import Artifact, Lease, Round, Task
from lutfarm_jobs.run import Failure, Probe, Run
from lutfarm_jobs.spec import parse_job
from lutfarm_profiles import loader

BACKEND = "onnxruntime-cpu-t1-fp32"
BARE = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
JOB = {
    "name": "small",
    "workloads": [{"operators": ["conv_H14_W14_Cin8_Cout8_k1_s1_g1_relu"]}],
    "devices": ["desk"],
    "backends": [{"runtime": "onnxruntime"}],
    "sampling": {"rounds": 2, "passes": 2},
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    kit.write_profile(tmp_path / "config", tmp_path / "device.lock")
    with open_store(tmp_path / "home") as found:
        yield found


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The interpreter of the device, as a lab sees it come and go."""
    path = tmp_path / "python"
    become(path, Path(sys.executable))
    return path


def become(path: Path, interpreter: Path) -> None:
    path.write_text(f'#!/bin/sh\nexec "{interpreter}" "$@"\n')
    path.chmod(0o755)


Look = Callable[[], tuple[HealthReport, DeviceRecord]]


@pytest.fixture
def look(tmp_path: Path, store: Store, python: Path) -> Look:
    """Check the device."""
    device = kit.device("desk", python=str(python))
    store.put_device(device)

    def go() -> tuple[HealthReport, DeviceRecord]:
        return check_device(
            device, store, Home(tmp_path / "home"), owner=str(process_identity.me()), holder="a test", waiting=lambda *_: None
        )

    return go


def names(report: HealthReport) -> list[str]:
    return [finding.name for finding in report.findings]


def test_a_real_device_is_looked_at_from_clock_to_latency(store: Store, look: Look) -> None:
    report, record = look()
    assert report.fit, report.reason
    assert names(report) == [
        "clock resolution",
        "timer pair",
        "idle load",
        "temperature",
        "battery",
        "free space",
        "memory available",
        "cores",
        "runtime onnxruntime",
        f"import {BACKEND}",
        f"output {BACKEND}",
        f"latency {BACKEND}",
        f"quiet windows {BACKEND}",
    ]
    by_name = {finding.name: finding for finding in report.findings}
    assert "no history yet" in by_name[f"latency {BACKEND}"].why
    agreement = by_name[f"output {BACKEND}"].value
    assert isinstance(agreement, float)
    assert 0 <= agreement < 1e-4
    assert isinstance(by_name["free space"].value, int)
    assert [reference.backend for reference in report.references] == [BACKEND]
    assert (record.state, record.fit, record.boot_id) == ("ready", True, report.boot_id)
    assert store.checks("desk") == [report]
    assert store.lease_holder("desk", time.time()) is None
    again, _ = look()
    assert "1 earlier checks" in next(f.why for f in again.findings if f.name == f"latency {BACKEND}")


def test_a_device_far_slower_than_its_history_is_not_fit_until_it_is_registered_again(store: Store, look: Look) -> None:
    first, _ = look()
    (reference,) = first.references
    for at in range(5):
        fast = replace(reference, latency_ns=10 + at)
        store.put_check(replace(first, checked_s=first.checked_s + 0.001 * at, references=(fast,)))
    slow, record = look()
    assert [finding.name for finding in slow.failed] == [f"latency {BACKEND}"]
    assert "far above its band" in slow.reason
    assert (record.state, record.fit) == ("quarantined", False)
    store.step_device("desk", DeviceEvent("registered"), time.time())
    fresh, record = look()
    assert fresh.fit, fresh.reason
    assert record.state == "ready"


def test_a_history_of_other_software_does_not_count(store: Store, look: Look) -> None:
    first, _ = look()
    (reference,) = first.references
    store.step_device("desk", DeviceEvent("registered"), time.time())  # a first look that this machine hurried does not count
    old = tuple(replace(reference, basis="another runtime", latency_ns=10) for _ in range(2))
    store.put_check(replace(first, checked_s=time.time(), references=old))
    again, _ = look()
    assert again.fit, again.reason


def job(tmp_path: Path, store: Store):
    submitted, sources = submit.submit(parse_job(JOB, source="job"), tmp_path, store)
    with closing(LocalPool(state_dir=tmp_path / "home" / "agents")) as pool:
        farm = Farm(store, pool, tmp_path / "models", str(process_identity.me()), "a test")
        return farm.run(submitted, sources, Quiet())


def test_a_device_without_runtime_is_quarantined_mended_checked_and_completes_its_job(
    store: Store, look: Look, python: Path, tmp_path: Path
) -> None:
    become(python, BARE)  # the interpreter behind the virtual environment: no runtime of ours
    assert len(job(tmp_path, store).left) == 1
    record = store.device_record("desk", time.time())
    assert record.state == "quarantined"
    assert "has no onnxruntime" in record.reason
    report, record = look()
    assert [(f.name, f.severity) for f in report.failed] == [("runtime onnxruntime", "fail")]
    assert record.state == "quarantined"
    become(python, Path(sys.executable))
    assert job(tmp_path, store).missing  # mended is not yet checked
    report, record = look()
    assert (report.fit, record.state) == (True, "ready"), report.reason
    assert job(tmp_path, store).left == ()
    assert [t.after for t in store.device_history("desk")][-3:] == ["ready", "busy", "ready"]


def test_a_device_whose_interpreter_is_gone_is_lost_until_it_is_back(store: Store, look: Look, python: Path) -> None:
    python.unlink()
    report, record = look()
    assert [(f.name, f.value) for f in report.failed] == [("session", "ConnectFailed")]
    assert (record.state, record.fit) == ("lost", None)
    assert str(python) in record.reason
    become(python, Path(sys.executable))
    report, record = look()
    assert (report.fit, record.state) == (True, "ready"), report.reason


def test_a_held_device_stays_held_and_a_retired_one_is_not_looked_at(store: Store, look: Look) -> None:
    store.step_device("desk", DeviceEvent("held", "new fan"), time.time())
    report, record = look()
    assert report.fit
    assert (record.state, record.reason, record.fit) == ("maintenance", "new fan", True)
    store.step_device("desk", DeviceEvent("retired"), time.time())
    with pytest.raises(SpecError, match="desk is retired"):
        look()


def test_a_runtime_that_ends_when_it_is_imported_is_named(store: Store, look: Look, python: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    for name in ("numpy", "onnxruntime"):
        (site / name).mkdir()
        (site / name / "__init__.py").write_text("import os\nos._exit(7)\n" if name == "onnxruntime" else "")
        (site / f"{name}-9.9.dist-info").mkdir()
        (site / f"{name}-9.9.dist-info" / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n")
    become(python, tmp_path / "venv" / "bin" / "python")
    report, record = look()
    assert "runtime onnxruntime" in names(report)
    assert [finding.name for finding in report.failed] == [f"import {BACKEND}"]
    assert "exit status 7" in report.reason
    assert record.state == "quarantined"


# Scripted devices

ONE, TWO = Artifact("1" * 64, 1, ".onnx"), Artifact("2" * 64, 1, ".tflite")
TASKS = (
    Task(Measurement(Workload("operator", "canary"), "desk", Backend("onnxruntime")), ONE),
    Task(Measurement(Workload("operator", "canary"), "desk", Backend("tflite")), TWO),
)
ORDER = CheckOrder("desk", Claim("desk", "test 1", "ann", "f" * 32, 1), TASKS, {})


def looked(script: Script, order: CheckOrder = ORDER, waited: Sequence[str] = ()) -> HealthReport:
    said: list[str] = []
    report = check(FakeAgent(Device("desk", kit.PROFILE, "local", LocalAddress()), script), order, waiting=said.append)
    assert said == list(waited)
    return report


def test_who_has_the_device_is_said() -> None:
    assert looked(Script(holders=("bob", "eve")), waited=("bob", "eve")).fit


@pytest.mark.parametrize("point", ["prepare", "measure", "probe", "mid-round"])
@pytest.mark.parametrize(
    ("code", "state"), [("LinkLost", "link lost"), ("ProtocolMismatch", "check failed"), ("DeviceLost", "link lost")]
)
def test_an_error_is_a_finding(point: str, code: str, state: str) -> None:
    report = looked(Script(errors={point: (code, "it broke")}))  # type: ignore[dict-item]
    assert [(f.name, f.value, f.why) for f in report.failed] == [("session", code, "it broke")]
    assert ("see that it is on" in report.failed[0].what_to_do) == (code == "LinkLost")  # the others answered
    event = event_of(report, 5.0)
    assert event.kind == state
    assert "it broke" in event.reason
    assert event.code == code


def test_what_is_no_fault_of_the_device_is_raised() -> None:
    with pytest.raises(SpecError, match="bad"):
        looked(Script(errors={"probe": ("SpecError", "bad")}))


def test_a_runtime_that_can_not_be_imported_does_not_hide_the_other() -> None:
    report = looked(Script(errors={"probe": ("NotReady", "no library")}))
    assert [(f.name, f.why) for f in report.failed] == [
        (f"import {BACKEND}", "no library"),
        ("import tflite-cpu-t1-fp32", "no library"),
    ]
    assert event_of(report, 5.0).kind == "check failed"


def test_a_wrong_output_is_a_failure_and_nothing_is_timed() -> None:
    report = looked(Script(failures={TASKS[0].measurement.key: Failure("Unstable", "0.3 off")}))
    assert [(f.name, f.why) for f in report.failed] == [(f"output {BACKEND}", "Unstable: 0.3 off")]
    assert [reference.backend for reference in report.references] == ["tflite-cpu-t1-fp32"]


def test_the_history_counts_by_backend() -> None:
    first = looked(Script())
    slower = replace(ORDER, history=[first])
    report = looked(Script(latencies_ns={TASKS[0].measurement.key: 200_000}), slower)
    assert [f.name for f in report.failed] == [f"latency {BACKEND}"]
    # What was found too slow is no part of the history.
    again = looked(Script(latencies_ns={TASKS[0].measurement.key: 200_000}), replace(ORDER, history=[first, *[report] * 5]))
    assert [f.name for f in again.failed] == [f"latency {BACKEND}"]


class Forgetful(FakeAgent):
    """Its session ends with the first runtime that can't be imported, as a supervisor's does that it takes along."""

    def _probe(self, tasks: Sequence[Task]) -> Iterator[Probe]:
        if not self.ready:
            raise LinkLost("no session is open")
        if tasks[0] is TASKS[0]:
            self.ready = False
            raise NotReady("it ended the template")
        return super()._probe(tasks)


def test_after_a_runtime_that_took_the_session_with_it_the_next_is_looked_at_in_another() -> None:
    report = check(Forgetful(Device("desk", kit.PROFILE, "local", LocalAddress()), Script()), ORDER, waiting=lambda _: None)
    assert [f.name for f in report.failed] == [f"import {BACKEND}"]
    assert [reference.backend for reference in report.references] == ["tflite-cpu-t1-fp32"]


@pytest.fixture
def slow(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[FarmError | None], HealthReport]:
    """A check of a device that is given a bundle first, until its lease was renewed twice; or renewing raises that error."""
    device, renewed = Device("desk", kit.PROFILE, "local", LocalAddress()), threading.Semaphore(0)
    store.put_device(device)
    renew = store.renew
    refused: list[FarmError] = []

    def renewing(lease: Lease, *, now_s: float, ttl_s: float, job_id: str | None = None) -> Lease:
        renewed.release()
        if refused:
            raise refused[0]
        return renew(lease, now_s=now_s, ttl_s=ttl_s, job_id=job_id)

    class Bundled(FakeAgent):
        def _prepare(self) -> Iterator[str]:
            for _ in range(1 if refused else 2):
                assert renewed.acquire(timeout=30.0), "nobody renewed the lease"
            return super()._prepare()

    def agent(device: Device, state_dir: Path) -> FakeAgent:
        return Bundled(device, Script())

    def go(error: FarmError | None) -> HealthReport:
        refused[:] = [error] if error else []
        monkeypatch.setattr(store, "renew", renewing)
        monkeypatch.setattr(health_check, "agent_of", agent)
        monkeypatch.setattr(leases, "KEEP_S", 0.01)
        monkeypatch.setattr(leases, "LEASE_S", 0.01)
        me = str(process_identity.me())
        return check_device(device, store, Home(tmp_path / "home"), owner=me, holder="a test", waiting=lambda *_: None)[0]

    return go


def test_a_check_keeps_its_lease_while_a_bundle_is_pushed(store: Store, slow: Callable[[FarmError | None], HealthReport]) -> None:
    report = slow(None)
    assert store.checks("desk") == [report]
    assert store.lease_holder("desk", time.time()) is None


def test_a_check_whose_lease_passed_to_another_says_nothing_of_the_device(
    store: Store, slow: Callable[[FarmError | None], HealthReport]
) -> None:
    with pytest.raises(LeaseLost, match="passed to another"):
        slow(LeaseLost())
    assert (store.checks("desk"), store.hello("desk")) == ([], None)


class Disturbed(FakeAgent):
    """So many of its slices are quiet."""

    quiet = 0

    def _run(self, round_: Round, task: Task, status: Literal["complete", "truncated"]) -> Run:
        run = super()._run(round_, task, status)
        return replace(run, slices=tuple(replace(s, quiet=at < self.quiet) for at, s in enumerate(run.slices)))


@pytest.mark.parametrize(("quiet", "said"), [(8, "ok"), (4, "ok"), (3, "warn"), (0, "warn")])
def test_a_machine_is_quiet_enough_where_half_of_the_windows_are(quiet: int, said: str) -> None:
    agent = Disturbed(Device("desk", kit.PROFILE, "local", LocalAddress()), Script())
    agent.quiet = quiet
    report = check(agent, ORDER, waiting=lambda _: None)
    found = next(f for f in report.findings if f.name == f"quiet windows {BACKEND}")
    assert (found.value, found.unit, found.severity) == (quiet, "of 8", said)


def test_only_heat_is_a_reason_to_wait() -> None:
    hot = Finding("temperature", 95.0, "C", "fail", "95 C", "let it cool")
    low = Finding("battery", 5.0, "%", "fail", "5 %", "charge it")
    event = event_of(HealthReport("desk", 1.0, (hot,)), 100.0)
    assert (event.kind, event.until_s) == ("too hot", 400.0)
    assert event_of(HealthReport("desk", 1.0, (hot, low)), 100.0).kind == "check failed"
    assert event_of(HealthReport("desk", 1.0, (), (Reference("b", "x", 1, "ok"),)), 1.0).kind == "check passed"


def test_limits_are_those_of_the_kind_of_device() -> None:
    names = loader.names()
    profiles = [loader.load(name) for name in names]
    assert {profile.thermal is None for profile in profiles} == {profile.battery is None for profile in profiles} == {True, False}
    for profile in profiles:
        limits = limits_of(profile)
        if profile.thermal:
            assert (limits.temperature_warn_c, limits.temperature_fail_c) == (profile.thermal.resume_c, profile.thermal.limit_c)
        else:
            assert limits.temperature_fail_c == HealthLimits().temperature_fail_c
        if profile.battery:
            assert (limits.battery_percent, limits.charging) == (profile.battery.minimum_percent, profile.battery.charging)
