"""A phone and a board without Python, as a user registers, checks and measures them: with a native tool alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.rig.board import Board
from tests.rig.fixtures import board, needs_rig, ssh_key
from tests.rig.machine import until
from tests.rig.phone import Phone
from tests.tools_kit import RUNTIME, FakeTool

__all__ = ["board", "ssh_key"]
UNKNOWN = {"ro.product.model": "Rig", "ro.product.manufacturer": "Rig", "ro.build.version.release": "14"}
JOB = """
name: bare
workloads:
  - operators: [conv_H28_W28_Cin16_Cout32_k1_s1_g1_relu, conv_H14_W14_Cin8_Cout8_k1_s1_g1_relu]
devices: [phone, board]
backends:
  - {runtime: tflite_benchmark_model}
sampling: {rounds: 2}
"""


@pytest.fixture(scope="module")
def bare() -> Iterator[Phone]:
    """A phone that shows no Python."""
    needs_rig()
    with Phone("bare", properties=UNKNOWN) as found:
        yield found


def test_devices_without_python_are_registered_checked_and_measured(
    lutfarm, job_file, bare: Phone, board: Board, ssh_key: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert "or name a native tool with --tool" in lutfarm("device", "register", "phone", "--adb", bare.address).stderr
    tool = FakeTool(bare, "/data/local/tmp/benchmark_model")
    named = ("--tool", f"{RUNTIME}={tool.remote}")
    registered = lutfarm("device", "register", "phone", "--adb", bare.address, *named)
    assert registered.returncode == 0, registered.stderr
    assert "native tools only" in registered.stderr
    FakeTool(board, "/home/board/benchmark_model")
    asked = ("--ssh", f"root@{board.link.address}", "--key", ssh_key[0], "--python", "none")
    assert "name one with --tool" in lutfarm("device", "register", "board", *asked).stderr
    done = lutfarm("device", "register", "board", *asked, "--tool", f"{RUNTIME}=/home/board/benchmark_model")
    assert done.returncode == 0, done.stderr

    checked = lutfarm("device", "check", "phone")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "phone is fit for native tools only; its state is ready" in checked.stderr + checked.stdout
    (report,) = json.loads(lutfarm("device", "check", "board", "--json").stdout)
    assert (report["fit"], report["tools_only"]) == (True, True)
    found = {finding["name"]: finding for finding in report["findings"]}
    assert (found["clock resolution"]["value"], found["clock resolution"]["severity"]) == (None, "ok")
    assert "not looked at" in found["runner"]["why"]
    assert found[f"latency {RUNTIME}-cpu-t1-fp32"]["value"] == 850_000

    ran = lutfarm("run", job_file(JOB), "--executor", "local")
    assert ran.returncode == 0, ran.stderr
    assert lutfarm("lut", "export", "bare", "--out", tmp_path / "t.json").returncode == 0
    entries = json.loads(lutfarm("lut", "show", tmp_path / "t.json", "--json").stdout)["entries"]
    assert {(e["device"], e["statistic"], e["rounds"]) for e in entries} == {("phone", "tool_mean", 2), ("board", "tool_mean", 2)}
    assert {e["temperature_high_c"] for e in entries} == {38.0}
    mixed = lutfarm("plan", job_file(JOB.replace("backends:", "backends:\n  - {runtime: tflite}")))
    assert mixed.returncode == 2
    assert "is registered for native tools only" in mixed.stderr
    for machine in (bare, board):
        until(lambda one=machine: not one.processes(), "nothing is left on the device")


def test_a_tool_that_does_not_run_makes_the_device_unfit(lutfarm, bare: Phone) -> None:
    tool = FakeTool(bare, "/data/local/tmp/broken")
    tool.becomes("fails")
    lutfarm("device", "register", "odd", "--adb", bare.address, "--tool", f"{RUNTIME}={tool.remote}")
    unfit = lutfarm("device", "check", "odd")
    assert unfit.returncode == 3
    assert "no such operator" in unfit.stdout + unfit.stderr
    refused = lutfarm("device", "register", "odd", "--adb", bare.address, "--tool", f"{RUNTIME}=/no/such/tool")
    assert refused.returncode == 2
    assert "/no/such/tool is not there" in refused.stderr
    bare.path(tool.remote).unlink()
    unfit = lutfarm("device", "check", "odd")
    assert unfit.returncode == 3
    assert "can't be read there" in unfit.stdout + unfit.stderr
