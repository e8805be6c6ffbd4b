"""What keys, tables and printed lines say of model files is the files' own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper

JOB = """\
name: labels
workloads:
  - models: {models}
devices: [desk]
backends: [{{runtime: onnxruntime{more}}}]
sampling: {{rounds: 2, passes: 2}}
"""


@pytest.fixture(autouse=True)
def desk(lutfarm: Callable) -> None:
    assert lutfarm("device", "register", "desk", "--local").returncode == 0


def value(name: str, shape: list[int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def save(path: Path, nodes: list[onnx.NodeProto], shape: list[int], weights: list[onnx.TensorProto]) -> None:
    path.parent.mkdir(exist_ok=True)
    graph = helper.make_graph(nodes, "g", [value("x", shape)], [value("y", shape)], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def quantised(path: Path, batch: int) -> None:
    """A product of integers of 8 bits between quantised tensors, as converters write it."""
    made = np.random.default_rng(1).integers(-90, 90, (64, 64), dtype=np.int8)
    weights = [
        numpy_helper.from_array(np.array(0.02, np.float32), "s"),
        numpy_helper.from_array(np.array(0, np.int8), "z"),
        numpy_helper.from_array(made, "wq"),
    ]
    steps = [
        ("QuantizeLinear", "x s z", "xq"),
        ("DequantizeLinear", "xq s z", "xd"),
        ("DequantizeLinear", "wq s z", "wd"),
        ("MatMul", "xd wd", "m"),
        ("QuantizeLinear", "m s z", "mq"),
        ("DequantizeLinear", "mq s z", "y"),
    ]
    save(path, [helper.make_node(kind, i.split(), [o]) for kind, i, o in steps], [batch, 64], weights)


def scaled(path: Path, factor: float) -> None:
    weights = [numpy_helper.from_array(np.full((64, 64), factor, np.float32), "w")]
    save(path, [helper.make_node("MatMul", ["x", "w"], ["y"])], [16, 64], weights)


def test_batch_and_precision_are_the_files_own(lutfarm: Callable, job_file: Callable, tmp_path: Path) -> None:
    quantised(tmp_path / "batch8_int8.onnx", 8)
    path = job_file(JOB.format(models='["batch8_int8.onnx"]', more=""))
    ran = lutfarm("run", path, "--executor", "local")
    assert ran.returncode == 0, ran.stderr
    assert lutfarm("lut", "export", "labels", "--out", tmp_path / "t.csv").returncode == 0
    (row,) = pd.read_csv(tmp_path / "t.csv").to_dict("records")
    assert (row["backend"], row["conditions"]) == ("onnxruntime-cpu-t1-int8", "b8-steady")
    assert (row["precision"], row["batch_size"], row["takes"]) == ("int8", 8, "x float32[8, 64]")
    assert row["key"].endswith("/desk/onnxruntime-cpu-t1-int8/b8-steady")
    shown = lutfarm("lut", "show", tmp_path / "t.csv")
    assert shown.returncode == 0, shown.stderr
    assert "fp32" not in shown.stdout
    assert "x float32[8, 64]" in shown.stdout
    contradicted = lutfarm("run", job_file(JOB.format(models='["batch8_int8.onnx"]', more=", precision: fp32")))
    assert contradicted.returncode == 2
    assert "batch8_int8.onnx computes in int8" in contradicted.stderr


def test_files_of_one_name_are_told_apart_wherever_they_are_named(lutfarm: Callable, job_file: Callable, tmp_path: Path) -> None:
    scaled(tmp_path / "a" / "model.onnx", 0.5)
    scaled(tmp_path / "b" / "model.onnx", 0.25)
    strange = helper.make_node("Teleport", ["x"], ["y"], domain="elsewhere")
    graph = helper.make_graph([strange], "g", [value("x", [1])], [value("y", [1])])
    (tmp_path / "c [1]").mkdir()
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("elsewhere", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "c [1]" / "model.onnx")
    path = job_file(JOB.format(models='["a/model.onnx", "b/model.onnx", "c [1]/model.onnx"]', more=""))
    ran = lutfarm("run", path, "--executor", "local")
    assert ran.returncode == 0, ran.stderr
    assert "(c [1]/model.onnx)" in ran.stderr  # the failure says where it lay
    assert lutfarm("lut", "export", "labels", "--out", tmp_path / "t.json").returncode == 0
    shown = lutfarm("lut", "show", tmp_path / "t.json").stdout
    assert all(f"{folder}/model.onnx@" in shown for folder in ("a", "b", "c [1]"))
    table = json.loads(lutfarm("lut", "show", tmp_path / "t.json", "--json").stdout)
    names = ["a/model.onnx", "b/model.onnx", "c [1]/model.onnx"]
    assert [entry["path"] for entry in table["entries"]] == names
    assert list(table["manifest"]["files"].values()) == names
    assert [entry["kind"] for entry in table["entries"]] == ["measured", "measured", "failed"]
