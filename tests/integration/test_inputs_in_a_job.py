"""Inputs that decide what runs: given, assumed and said, in a whole job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests import pool_kit as kit

JOB = """\
name: inputs
workloads:
  - models: [branch.onnx, lengths.onnx, mask.onnx, constant.onnx]
  - models: [branch.onnx]
    values: {rate: 16000}
  - models: [branch.onnx]
    values: {rate: 8000, x: x.npy}
  - models: [lengths.onnx]
    values: {lens: [3]}
  - models: [set/model.onnx]
    test_data: test_data_set_0
devices: [desk]
backends: [{runtime: onnxruntime}]
sampling: {rounds: 2, passes: 3}
"""


def value(name: str, shape: list[int] | None, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def weights(name: str, *shape: int) -> TensorProto:
    return numpy_helper.from_array(np.random.RandomState(0).standard_normal(shape).astype(np.float32), name)


def save(path: Path, nodes: list, inputs: list, constants: list) -> None:
    path.parent.mkdir(exist_ok=True)
    graph = helper.make_graph(nodes, "g", inputs, [value("y", None)], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def branch(path: Path) -> None:
    """At 16,000 one product, else twenty."""

    def product(count: int) -> onnx.GraphProto:
        names = ["x", *(f"m{count}_{index}" for index in range(count))]
        nodes = [helper.make_node("MatMul", [names[i], "w"], [names[i + 1]]) for i in range(count)]
        return helper.make_graph(nodes, f"of{count}", [], [value(names[-1], [64, 64])])

    save(
        path,
        [
            helper.make_node("Equal", ["rate", "known"], ["same"]),
            helper.make_node("If", ["same"], ["y"], then_branch=product(1), else_branch=product(20)),
        ],
        [value("x", [64, 64]), value("rate", [], TensorProto.INT64)],
        [weights("w", 64, 64), numpy_helper.from_array(np.array(16000), "known")],
    )


def lengths(path: Path) -> None:
    save(
        path,
        [helper.make_node("LSTM", ["x", "w", "r", "", "lens"], ["y"], hidden_size=16)],
        [value("x", [50, 1, 8]), value("lens", [1], TensorProto.INT32)],
        [weights("w", 1, 64, 8), weights("r", 1, 64, 16)],
    )


def mask(path: Path) -> None:
    save(
        path,
        [
            helper.make_node("Cast", ["mask"], ["kept"], to=TensorProto.BOOL),
            helper.make_node("Compress", ["ids", "kept"], ["left"], axis=0),
            helper.make_node("Gather", ["table", "left"], ["e"]),
            helper.make_node("MatMul", ["e", "w"], ["y"]),
        ],
        [value("ids", [128], TensorProto.INT64), value("mask", [128], TensorProto.INT64)],
        [weights("table", 40, 64), weights("w", 64, 256)],
    )


def test_data(folder: Path) -> None:
    """A sequence of three tensors; their file says so."""
    row = helper.make_value_info("s", helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None)))
    save(folder / "model.onnx", [helper.make_node("ConcatFromSequence", ["s"], ["y"], axis=0)], [row], [])
    (folder / "test_data_set_0").mkdir()
    parts = numpy_helper.from_list([np.ones((2, 2), np.float32)] * 3, "s")
    (folder / "test_data_set_0" / "input_0.pb").write_bytes(parts.SerializeToString())


test_data.__test__ = False  # pyright: ignore


@pytest.fixture
def lutfarm(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The installed command with a home and a device lock of its own."""
    kit.write_profile(tmp_path / "config", tmp_path / "device.lock")
    command = Path(sys.executable).with_name("lutfarm")
    own = {"LUTFARM_HOME": str(tmp_path / "home"), "XDG_CONFIG_HOME": str(tmp_path / "config"), "COLUMNS": "200"}

    def call(*args: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [command, *args],
            cwd=tmp_path,
            text=True,
            capture_output=True,
            timeout=240,
            stdin=subprocess.DEVNULL,
            env=os.environ | own,
        )

    return call


def job_file(folder: Path, text: str) -> Path:
    (folder / "job.yaml").write_text(text)
    return folder / "job.yaml"


@pytest.fixture
def models(tmp_path: Path) -> None:
    branch(tmp_path / "branch.onnx")
    lengths(tmp_path / "lengths.onnx")
    mask(tmp_path / "mask.onnx")
    save(tmp_path / "constant.onnx", [helper.make_node("MatMul", ["w", "w"], ["y"])], [], [weights("w", 64, 64)])
    test_data(tmp_path / "set")
    np.save(tmp_path / "x.npy", np.ones((64, 64), np.float32))


@pytest.mark.usefixtures("models")
def test_what_runs_is_what_the_job_gives_and_what_is_assumed_is_said(
    lutfarm: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    assert lutfarm("device", "register", "desk", "--local", "--profile", kit.PROFILE).returncode == 0
    ran = lutfarm("run", job_file(tmp_path, JOB), "--executor", "local")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "inputs_assumed: what runs depends on inputs that the job says nothing of" in ran.stderr
    assert "nothing_computed" in ran.stderr
    assert lutfarm("lut", "export", "inputs", "--out", tmp_path / "t.json").returncode == 0
    shown = lutfarm("lut", "show", tmp_path / "t.json")
    assert "(rate)" in shown.stderr
    assert "inputs_assumed" in shown.stdout
    assert lutfarm("lut", "report", tmp_path / "t.json", "--out", tmp_path / "t.html").returncode == 0
    assert "rate=16000 (assumed, decides what runs)" in (tmp_path / "t.html").read_text(encoding="utf-8")
    entries = json.loads(lutfarm("lut", "show", tmp_path / "t.json", "--json").stdout)["entries"]
    found = {}
    for entry in entries:
        name, _, rest = entry["workload"].removeprefix("file:").partition("@")
        found[name, rest.partition("{")[2].rstrip("}").partition(".")[0]] = entry
    assert len(found) == 8
    assert {entry["kind"] for entry in entries} == {"measured"}
    guessed = {place: entry["inputs_assumed"] for place, entry in found.items() if "inputs_assumed" in entry["flags"]}
    assert guessed == {("branch.onnx", ""): "rate", ("lengths.onnx", ""): "lens", ("mask.onnx", ""): "mask"}
    idle = [place for place, entry in found.items() if "nothing_computed" in entry["flags"]]
    assert idle == [("constant.onnx", "")]
    assert found["branch.onnx", "rate=16000"]["inputs"] == "rate=16000 (given); x=normal"
    assert found["lengths.onnx", ""]["inputs"].startswith("lens=50 (assumed, decides what runs)")
    assert len({entry["fingerprint"] for entry in entries}) == 7  # the assumed rate is the one that is given once
    # twenty products take longer than one, three steps less than fifty, on the busiest machine
    other_rate = next(entry for place, entry in found.items() if place[0] == "branch.onnx" and place[1].startswith("values"))
    assert other_rate["min"] > 2 * found["branch.onnx", "rate=16000"]["min"]
    assert found["lengths.onnx", ""]["min"] > 2 * found["lengths.onnx", "lens=3"]["min"]

    refused = lutfarm("run", job_file(tmp_path, JOB.replace("rate: 16000", "rate: 1.5")), "--executor", "local")
    assert refused.returncode == 2
    assert "branch.onnx: values.rate: 1.5 is no whole number, and the input is int64[]" in refused.stderr
