"""Models that do what nobody expects, one job each: a good one beside them is always measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto as T
from onnx import helper, numpy_helper
from tests import tflite_kit

JOB = """\
name: odd
workloads:
  - models: ["*.onnx", "*.tflite"]
{more}devices: [desk]
backends:
  - runtime: onnxruntime
  - runtime: tflite
sampling: {{rounds: 1, passes: 2, stop: rounds}}
"""


def save(path: Path, *nodes: onnx.NodeProto, inputs, outputs, initializers=()) -> None:
    graph = helper.make_graph(list(nodes), "g", inputs, outputs, list(initializers))
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)


def tensor(name: str, kind: int, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, list(shape))


def relu(path: Path, *shape: int | str) -> None:
    ends = [tensor(name, T.FLOAT, *shape) for name in "xy"]
    save(path, helper.make_node("Relu", ["x"], ["y"]), inputs=ends[:1], outputs=ends[1:])


@pytest.fixture
def entries(lutfarm: Callable, job_file: Callable, tmp_path: Path) -> Callable[[str], dict[str, dict]]:
    """Measures all files of the folder; entries by file name."""
    assert lutfarm("device", "register", "desk", "--local").returncode == 0

    def measure(more: str = "") -> dict[str, dict]:
        ran = lutfarm("run", job_file(JOB.format(more=more)), "--executor", "local")
        assert ran.returncode == 0, ran.stderr
        assert lutfarm("lut", "export", "odd", "--out", tmp_path / "t.json").returncode == 0
        shown = json.loads(lutfarm("lut", "show", tmp_path / "t.json", "--json").stdout)["entries"]
        return {entry["workload"].removeprefix("file:").partition("@")[0]: entry for entry in shown}

    return measure


def test_each_odd_model_is_measured_or_is_one_failure(entries: Callable, tmp_path: Path) -> None:
    x, y = tensor("x", T.FLOAT, 64), tensor("y", T.FLOAT, 64)
    relu(tmp_path / "good.onnx", 1, 8)
    cast = helper.make_node("Cast", ["x"], ["y"], to=T.BFLOAT16)
    save(tmp_path / "bf16.onnx", cast, inputs=[x], outputs=[tensor("y", T.BFLOAT16, 64)])
    constant = helper.make_tensor("c", T.INT4, [3], [1, -2, 3])
    save(tmp_path / "int4.onnx", helper.make_node("Relu", ["x"], ["y"]), inputs=[x],
         outputs=[tensor("c", T.INT4, 3), y], initializers=[constant])  # fmt: skip
    save(tmp_path / "nan.onnx", helper.make_node("Log", ["x"], ["y"]), inputs=[x], outputs=[y])
    normal, add = helper.make_node("RandomNormal", [], ["r"], shape=[64]), helper.make_node("Add", ["x", "r"], ["y"])
    save(tmp_path / "random.onnx", normal, add, inputs=[x], outputs=[y])
    save(tmp_path / "stranger.onnx", helper.make_node("Teleport", ["x"], ["y"], domain="elsewhere"), inputs=[x], outputs=[y])
    (tmp_path / "init.tflite").write_bytes(tflite_kit.with_init_subgraph())
    (tmp_path / "recurrent.tflite").write_bytes(tflite_kit.recurrent())
    (tmp_path / "nameless.tflite").write_bytes(tflite_kit.of_two_inputs([None, None]))
    (tmp_path / "empty.onnx").write_bytes(b"")
    (tmp_path / "cut.onnx").write_bytes((tmp_path / "good.onnx").read_bytes()[:-9])
    (tmp_path / "noise.tflite").write_bytes(bytes(range(256)))
    outside = T(name="w", data_type=T.FLOAT, dims=[64], data_location=T.EXTERNAL)
    save(tmp_path / "outside.onnx", helper.make_node("Add", ["x", "w"], ["y"]), inputs=[x], outputs=[y], initializers=[outside])
    found = entries()
    flags = {name: set(entry["flags"]) & {"nan_outputs", "nondeterministic", "stateful", "unbound_outputs"}
             for name, entry in found.items() if entry["kind"] == "measured"}  # fmt: skip
    assert flags == {
        "good.onnx": set(),
        "bf16.onnx": set(),
        "int4.onnx": set(),
        "nan.onnx": {"nan_outputs"},
        "random.onnx": {"nondeterministic"},
        "init.tflite": set(),
        "recurrent.tflite": {"stateful"},
        "nameless.tflite": set(),
    }
    failed = {name: entry["failure_detail"] for name, entry in found.items() if entry["kind"] == "failed"}
    says = {"stranger.onnx": "elsewhere", "empty.onnx": "is empty", "cut.onnx": "cut.onnx: can't be used",
            "noise.tflite": "no TensorFlow Lite", "outside.onnx": "external data"}  # fmt: skip
    assert failed.keys() == says.keys()
    assert all(says[name] in detail for name, detail in failed.items()), failed


def test_more_inputs_than_a_decoder_has_caches_and_an_empty_one(entries: Callable, tmp_path: Path) -> None:
    names = [f"past_key_values.{number // 2}.{'decoder.key' if number % 2 else 'decoder.value'}" for number in range(1000)]
    (tmp_path / "good.tflite").write_bytes(tflite_kit.of_two_inputs(["a", "b"]))
    save(tmp_path / "cache.onnx", *(helper.make_node("Relu", [name], [f"{name}.y"]) for name in names),
         inputs=[tensor(name, T.FLOAT, 1, "past", 8) for name in names],
         outputs=[tensor(f"{name}.y", T.FLOAT, 1, "past", 8) for name in names])  # fmt: skip
    relu(tmp_path / "closed.onnx", 1, 0, 64)
    shapes = ", ".join(f'"{name}": [1, {number % 3}, 8]' for number, name in enumerate(names))
    found = entries(f"    inputs: {{{shapes}}}\n")
    assert {name: (entry["kind"], entry["failure_detail"]) for name, entry in found.items()} == dict.fromkeys(
        ["good.tflite", "cache.onnx", "closed.onnx"], ("measured", None)
    )
    assert len(found["cache.onnx"]["key"]) < 300


def test_a_declared_output_shape_is_a_hint(entries: Callable, tmp_path: Path) -> None:
    weights = numpy_helper.from_array(np.ones((64, 64), np.float32), "w")
    save(tmp_path / "m.onnx", helper.make_node("MatMul", ["x", "w"], ["y"]), inputs=[tensor("x", T.FLOAT, "b", 64)],
         outputs=[tensor("y", T.FLOAT, 1, 64)], initializers=[weights])  # fmt: skip
    (tmp_path / "good.tflite").write_bytes(tflite_kit.of_two_inputs(["a", "b"]))
    found = entries("    inputs: {x: [8, 64]}\n")
    assert found["m.onnx"]["kind"] == found["good.tflite"]["kind"] == "measured"
    assert "unbound_outputs" in found["m.onnx"]["flags"]
