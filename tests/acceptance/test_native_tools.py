"""A native tool on a device as a backend: from the job file to the table, with a tool that prints what the real one prints."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

TOOL = """#!{python}
import sys, time
words = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:] if "=" in word)
assert open(words["graph"], "rb").read()[4:8] == b"TFL3"
{fault}
print("INFO: count=1 curr=900")
print("INFO: count=%s first=880 curr=850 min=840 max=900 avg=8.5e+02 std=9 p5=841 median=849 p95=890" % words["num_runs"])
print("INFO: Inference timings in us: Init: 5579, First inference: 901, Warmup (avg): 900, Inference (avg): 850")
"""
JOB = """
name: tools
workloads:
  - operators: [conv_H28_W28_Cin16_Cout32_k1_s1_g1_relu]
devices: [desk]
backends:
  - {runtime: tflite_benchmark_model}
  - {runtime: tflite}
sampling: {rounds: 3, passes: 4}
"""


def write_tool(folder: Path, fault: str = "") -> Path:
    path = folder / "benchmark model"
    path.write_text(TOOL.format(python=sys.executable, fault=fault))
    path.chmod(0o755)
    return path


def test_a_tools_numbers_stand_beside_the_runners_and_are_never_mixed(lutfarm, job_file, tmp_path: Path) -> None:
    tool = write_tool(tmp_path)
    registered = lutfarm("device", "register", "desk", "--local", "--tool", f"tflite_benchmark_model={tool}", "--json")
    assert json.loads(registered.stdout)["hello"]["runtimes"]["tflite_benchmark_model"].startswith("sha256:")
    done = lutfarm("run", job_file(JOB), "--executor", "local")
    assert done.returncode == 0, done.stderr
    assert lutfarm("lut", "export", "tools", "--out", tmp_path / "t.json").returncode == 0
    entries = json.loads(lutfarm("lut", "show", tmp_path / "t.json", "--json").stdout)["entries"]
    by_backend = {entry["backend"]: entry for entry in entries}
    native = by_backend["tflite_benchmark_model-cpu-t1-fp32"]
    assert (native["statistic"], native["rounds"]) == ("tool_mean", 3)
    assert native["estimate"] == pytest.approx(850_000)
    assert native["iterations"] >= 60
    assert by_backend["tflite-cpu-t1-fp32"]["statistic"] in ("p25_quiet", "p25_contended")
    again = lutfarm("run", job_file(JOB), "--executor", "local")
    assert "going on; 6 runs" in again.stderr


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ("sys.exit('no such operator: CUSTOM')", "WorkloadFailed", "no such operator"),
        ("import os; os.kill(os.getpid(), 11)", "WorkloadFailed", "signal 11"),
    ],
)
def test_a_tool_that_fails_is_a_stored_result(lutfarm, job_file, tmp_path: Path, fault: str, code: str, said: str) -> None:
    tool = write_tool(tmp_path, fault)
    lutfarm("device", "register", "desk", "--local", "--tool", f"tflite_benchmark_model={tool}")
    only = JOB.replace("  - {runtime: tflite}\n", "")
    done = lutfarm("run", job_file(only), "--executor", "local")
    assert "1 failed" in done.stderr
    lutfarm("lut", "export", "tools", "--out", tmp_path / "t.json")
    (entry,) = json.loads(lutfarm("lut", "show", tmp_path / "t.json", "--json").stdout)["entries"]
    assert (entry["kind"], entry["failure_code"]) == ("failed", code)
    assert said in entry["failure_detail"]


def test_a_tool_that_nobody_named_or_that_is_not_there_is_said(lutfarm, job_file, tmp_path: Path) -> None:
    only = JOB.replace("  - {runtime: tflite}\n", "")
    lutfarm("device", "register", "desk", "--local")
    refused = lutfarm("run", job_file(only), "--executor", "local")
    assert refused.returncode == 2
    assert "no tflite_benchmark_model is named for desk (its tools: none)" in refused.stderr
    (device,) = json.loads(lutfarm("device", "list", "--json").stdout)
    assert (device["state"], device["reason"]) == ("new", "")
    (tmp_path / "plain").write_text("not executable")
    for path, said in (("/no/such/tool", "is not there"), (tmp_path, "is a folder"), (tmp_path / "plain", "chmod +x")):
        refused = lutfarm("device", "register", "wrong", "--local", "--tool", f"tflite_benchmark_model={path}")
        assert refused.returncode == 2, refused.stderr
        assert str(path) in refused.stderr
        assert said in refused.stderr
    assert [each["name"] for each in json.loads(lutfarm("device", "list", "--json").stdout)] == ["desk"]
    tool = write_tool(tmp_path)
    assert lutfarm("device", "register", "desk", "--local", "--tool", f"tflite_benchmark_model={tool}").returncode == 0
    tool.unlink()
    assert "can't be run there" in lutfarm("run", job_file(only), "--executor", "local").stderr
    for wrong in ("x=/a", "tflite_benchmark_model=relative", "tflite_benchmark_model"):
        refused = lutfarm("device", "register", "desk", "--local", "--tool", wrong)
        assert refused.returncode == 2
        assert "--tool" in refused.stderr


def test_a_provider_is_for_native_tools(lutfarm, job_file) -> None:
    lutfarm("device", "register", "desk", "--local")
    wrong = JOB.replace("{runtime: tflite}", "{runtime: tflite, provider: gpu}")
    refused = lutfarm("plan", job_file(wrong))
    assert refused.returncode == 2
    assert "tflite has no provider" in refused.stderr
