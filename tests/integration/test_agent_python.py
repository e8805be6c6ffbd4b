"""The interpreter that a device is to run the runner with: one that lacks a runtime, one that is none."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests import pool_kit as kit

from lutfarm_agents.device import Claim
from lutfarm_agents.runner_agent import DeviceAgent
from lutfarm_jobs.errors import ConnectFailed, NotReady, RegistrationStale, ReplyTimeout, SpecError
from lutfarm_jobs.measurement import Backend
from lutfarm_jobs.round import Limits, Task

CLAIM = Claim("desk", "test 1", "anna", "f" * 32, 1)
LIMITS = Limits(memory_bytes=1 << 29, load_s=30, iteration_s=5)  # a busy machine takes two to fill the memory


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    kit.write_profile(tmp_path / "config", tmp_path / "device.lock")
    return tmp_path / "device.lock"


def task(folder: Path, models: dict[str, Path], name: str, **fields: object) -> Task:
    artifact, path = kit.model(folder, name=name, **fields)
    models[artifact.sha256] = path
    return kit.task("desk", name, artifact)


def test_a_runtime_that_the_interpreter_lacks_is_named(lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models: dict[str, Path] = {}
    good = task(tmp_path, models, "good")
    lacking = replace(good, measurement=replace(good.measurement, backend=Backend("tflite")))
    # The interpreter behind the virtual environment: it has no runtime of ours.
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    agent = DeviceAgent(kit.device("desk", python=str(base)), state_dir=tmp_path / "bare")
    assert list(agent.prepare(CLAIM)) == []
    assert "ai-edge-litert" not in agent.hello().runtimes
    with pytest.raises(NotReady, match="ai-edge-litert or tflite-runtime"):
        list(agent.probe([lacking], limits=LIMITS, models=models))
    agent.close()


@pytest.mark.parametrize(
    ("python", "error", "said"),
    [
        ("/no/such/python", ConnectFailed, "/no/such/python"),
        (
            "/bin/false",
            RegistrationStale,
            "desk: /bin/false did not start as lutfarm's runner: .*exit status 1; see what `/bin/false -V`",
        ),
        ("{garbled}", RegistrationStale, "desk: .*garbled did not start as lutfarm's runner: .*not UTF-8; see what"),
        ("{silent}", ReplyTimeout, "desk: .*silent said nothing for 1 s; see what"),
    ],
)
def test_an_interpreter_that_is_none_is_said(
    lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: str, error: type[Exception], said: str
) -> None:
    monkeypatch.setattr("lutfarm_agents.wire.session.HELLO_S", 1.0)
    programs = {"garbled": "printf '\\377\\376\\n'; read -r line", "silent": "exec sleep 600"}
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    python = python.format(**{name: tmp_path / name for name in programs})
    agent = DeviceAgent(kit.device("desk", python=python), state_dir=tmp_path / "state")
    with pytest.raises(error, match=said):
        list(agent.prepare(CLAIM))
    assert not agent.ready
    agent.close()


def test_a_device_without_an_address_is_refused(lock: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="a LocalAddress is no address of the transport adb"):
        DeviceAgent(replace(kit.device("phone"), transport="adb"), state_dir=tmp_path)
    with pytest.raises(SpecError, match="register it again"):
        DeviceAgent(replace(kit.device("board"), transport="ssh"), state_dir=tmp_path)
