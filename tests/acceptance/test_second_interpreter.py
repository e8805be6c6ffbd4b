"""One machine, two interpreters: ai-edge-litert beside the last tflite-runtime, which needs numpy 1.26."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

LOCK = Path(__file__).parents[1] / "data" / "tflite-runtime.lock"
JOB = """\
name: two-interpreters
workloads:
  - operators: [conv_H14_W14_Cin8_Cout8_k3_s1_g1_relu, mbconv_H14_W14_Cin8_Cout8_mid16_k3_s1_g2_x1_se1_res1_h_swish]
devices: [{label: {rack: a}}]
backends:
  - runtime: tflite
sampling: {rounds: 2, passes: 4}
"""


@pytest.fixture(scope="module")
def old_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with tflite-runtime 2.14 and numpy 1.26, pinned with hashes."""
    version = (3, 11)
    base = sys.executable if sys.version_info[:2] == version else shutil.which("python3.11")
    if base is None:
        pytest.skip("tflite-runtime 2.14 has no wheel for Pythons after 3.11, and no python3.11 is here")
    place = tmp_path_factory.mktemp("old")
    subprocess.run([base, "-m", "venv", place], check=True)
    subprocess.run(
        [place / "bin" / "python", "-m", "pip", "install", "--quiet", "--require-hashes", "--requirement", LOCK], check=True
    )
    return place / "bin" / "python"


def test_a_device_may_name_any_interpreter(lutfarm: Callable, job_file: Callable, old_python: Path, tmp_path: Path) -> None:
    new = lutfarm("device", "register", "new", "--local", "--label", "rack=a")
    old = lutfarm("device", "register", "old", "--local", "--label", "rack=a", "--python", old_python, "--json")
    assert (new.returncode, old.returncode) == (0, 0), new.stderr + old.stderr
    assert json.loads(old.stdout)["hello"]["runtimes"] == {"tflite-runtime": "2.14.0", "numpy": "1.26.4"}
    ran = lutfarm("run", job_file(JOB), "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["complete"] == 4
    assert lutfarm("lut", "export", "two-interpreters", "--out", tmp_path / "t.json").returncode == 0
    table = json.loads(lutfarm("lut", "show", tmp_path / "t.json", "--json").stdout)
    (backend,) = table["manifest"]["backends"]
    assert backend["versions"]["old"].startswith("tflite-runtime 2.14.0")
    assert backend["versions"]["new"].startswith("ai-edge-litert ")
    by_device = {(e["device"], e["workload"]): e["estimate"] for e in table["entries"]}
    assert len(by_device) == 4
    assert all(estimate > 0 for estimate in by_device.values())


def test_an_interpreter_without_runtimes_is_said(lutfarm: Callable, job_file: Callable, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    bare = lutfarm("device", "register", "bare", "--local", "--label", "rack=a", "--python", tmp_path / "bare/bin/python")
    assert bare.returncode == 0, bare.stderr
    ran = lutfarm("run", job_file(JOB), "--executor", "local")
    assert ran.returncode == 2
    assert "bare: its CPython" in ran.stderr
    assert "(it has no runtime)" in ran.stderr
    (device,) = json.loads(lutfarm("device", "list", "--json").stdout)
    assert (device["state"], device["reason"]) == ("new", "")  # a job's mistake is no fault of the device
    assert "ai-edge-litert" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_an_interpreter_that_is_not_there_is_said(lutfarm: Callable, tmp_path: Path) -> None:
    result = lutfarm("device", "register", "ghost", "--local", "--python", tmp_path / "no-python")
    assert result.returncode == 3
    assert "no-python" in result.stderr
    assert json.loads(lutfarm("device", "list", "--json").stdout) == []
