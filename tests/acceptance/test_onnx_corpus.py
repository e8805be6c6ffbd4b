"""The onnx package's own backend tests as one job, with their own inputs: no model ends it.

`benchmarks/onnx_corpus.py` runs all of them and says what came of each.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests import onnx_corpus

EVERY = 24
JOB = """\
name: corpus
workloads:
  - models: ["*/*/model.onnx"]
    test_data: test_data_set_0
devices: [desk]
backends: [{runtime: onnxruntime}]
sampling: {rounds: 1, passes: 2, stop: rounds}
"""
# Whose words a failure may be: the runtime's, the process's end, or the host's about the file.
OURS = ("Traceback", "lutfarm_runner", "AttributeError", "TypeError", "KeyError", "IndexError", "NameError")


@pytest.mark.slow
def test_every_model_is_measured_or_fails_in_the_runtimes_own_words(
    lutfarm: Callable, job_file: Callable, tmp_path: Path
) -> None:
    count = onnx_corpus.write(tmp_path, every=EVERY)
    assert count > 80
    assert lutfarm("device", "register", "desk", "--local").returncode == 0
    ran = lutfarm("run", job_file(JOB), "--executor", "local", "--json")
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert said["complete"] + len(said["failed"]) == said["measurements"] <= count
    assert said["complete"] > said["measurements"] * 0.8
    assert lutfarm("lut", "export", "corpus", "--out", tmp_path / "t.json").returncode == 0
    shown = json.loads(lutfarm("lut", "show", tmp_path / "t.json", "--json").stdout)["entries"]
    details = {entry["key"]: entry["failure_detail"] for entry in shown if entry["kind"] == "failed"}
    assert set(details) == set(said["failed"])
    assert not {key: detail for key, detail in details.items() if any(word in detail for word in OURS)}
