"""Inputs hold what the host says, in both runtimes: checked by what comes out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto as T
from onnx import helper, numpy_helper
from tests.runner.conftest import of_type

from lutfarm_jobs.feeds.resolve import Asked, feeding
from lutfarm_jobs.models.inspect import inspect_file


def value(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


def save(path, nodes, inputs, opset=21):
    graph = helper.make_graph(nodes, "g", inputs, [value("y", T.FLOAT, None)])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10), path)
    return path


@pytest.fixture
def agreement(start, bench, tmp_path):
    """How far the first output of a model is from what it should be, fed as a job says."""

    def ask(path: Path, wanted, **asked):
        found = feeding(inspect_file(path), Asked(tmp_path, **asked))
        held = None
        if found.values_file is not None:
            held = tmp_path / found.values_file.artifact.file_name
            held.write_bytes(found.values_file.content())
        flat = np.asarray(wanted, float).ravel()
        workload = bench.workload(
            0,
            path=str(path),
            runtime="tflite" if path.suffix == ".tflite" else "onnxruntime",
            iteration_ns=None,
            inputs=[asdict(shape) for shape in found.inputs],
            fills=[{"name": feed.name, **asdict(feed.fill)} for feed in found.feeds],
            values=None if held is None else str(held),
            expected={
                "positions": list(range(flat.size)),
                "values": flat.tolist(),
                "largest": float(np.abs(flat).max()),
                "tolerance": 1e-6,
            },
        )
        [probed] = of_type(start().ask("probe", **{**bench.probe({}), "workloads": [workload]}), "probed")
        assert probed.get("code") is None, probed
        return probed["agreement"]

    return ask


@pytest.mark.parametrize(
    ("said", "kind", "wanted"),
    [
        (16000, T.INT64, [16000.0] * 6),
        ("ones", T.BOOL, [1.0] * 6),
        ([[1, 2, 3], [4, 5, 6]], T.INT32, [1, 2, 3, 4, 5, 6]),
        ("arange", T.INT64, [0, 1, 2, 0, 1, 2]),
        (0.5, T.FLOAT16, [0.5] * 6),
        (2, T.BFLOAT16, [2.0] * 6),
        ([[1, 2, 3], [-4, 5, 6]], T.FLOAT8E5M2, [1, 2, 3, -4, 5, 6]),
        ("x.npy", T.UINT8, [1, 2, 3, 4, 5, 255]),
        ({"file": "all.npz", "array": "b"}, T.FLOAT, [6, 5, 4, 3, 2, 1]),
    ],
)
def test_what_the_job_says_is_what_the_model_gets(agreement, tmp_path, said, kind, wanted):
    path = save(tmp_path / "m.onnx", [helper.make_node("Cast", ["x"], ["y"], to=T.FLOAT)], [value("x", kind, [2, 3])])
    np.save(tmp_path / "x.npy", np.array([[1, 2, 3], [4, 5, 255]], np.uint8))
    np.savez(tmp_path / "all.npz", b=np.array([[6, 5, 4], [3, 2, 1]], np.float32))
    assert agreement(path, wanted, values={"x": said}) == 0


def test_shapes_that_the_file_leaves_open_come_with_the_values(agreement, tmp_path):
    nodes = [helper.make_node("Mul", ["x", "x"], ["y"])]
    path = save(tmp_path / "m.onnx", nodes, [value("x", T.FLOAT, ["n", None])])
    assert agreement(path, [1, 4, 9, 16], values={"x": [[1, 2], [3, 4]]}) == 0


def test_sequences_optionals_texts_and_four_bits_of_test_data(agreement, tmp_path):
    floats = helper.make_tensor_type_proto(T.FLOAT, None)
    inputs = [
        helper.make_value_info("s", helper.make_sequence_type_proto(floats)),
        helper.make_value_info("o", helper.make_optional_type_proto(floats)),
        value("t", T.STRING, [1]),
        value("q", T.INT4, [2]),
    ]
    nodes = [
        helper.make_node("ConcatFromSequence", ["s"], ["joined"], axis=0),
        helper.make_node("OptionalGetElement", ["o"], ["there"]),
        helper.make_node("RegexFullMatch", ["t"], ["full"], pattern="[ab]+"),
        helper.make_node("Cast", ["full"], ["f"], to=T.FLOAT),
        helper.make_node("Cast", ["q"], ["four"], to=T.FLOAT),
        helper.make_node("Concat", ["joined", "there", "f", "four"], ["y"], axis=0),
    ]
    path = save(tmp_path / "m.onnx", nodes, inputs)
    protos = [
        numpy_helper.from_list([np.array([1, 2], np.float32), np.array([3], np.float32)]),
        numpy_helper.from_optional(np.array([4], np.float32)),
        helper.make_tensor("t", T.STRING, [1], [b"abba"]),
        numpy_helper.from_array(np.array([-5, 6]).astype(ml_dtypes.int4)),
    ]
    for number, proto in enumerate(protos):
        (tmp_path / f"input_{number}.pb").write_bytes(proto.SerializeToString())
    assert agreement(path, [1, 2, 3, 4, 1, -5, 6], test_data=".") == 0


def test_an_optional_without_a_value(agreement, tmp_path):
    maybe = helper.make_optional_type_proto(helper.make_tensor_type_proto(T.FLOAT, [2]))
    nodes = [
        helper.make_node("OptionalHasElement", ["o"], ["there"]),
        helper.make_node("Cast", ["there"], ["f"], to=T.FLOAT),
        helper.make_node("Add", ["f", "x"], ["y"]),
    ]
    path = save(tmp_path / "m.onnx", nodes, [helper.make_value_info("o", maybe), value("x", T.FLOAT, [2])])
    (tmp_path / "input_0.pb").write_bytes(onnx.OptionalProto(elem_type=1).SerializeToString())
    (tmp_path / "input_1.pb").write_bytes(numpy_helper.from_array(np.array([2, 3], np.float32)).SerializeToString())
    assert agreement(path, [2, 3], test_data=".") == 0


def test_a_name_longer_than_the_host_keeps_is_fed_all_the_same(agreement, tmp_path):
    name = "n" * 3000
    nodes = [helper.make_node("Cast", [name], ["y"], to=T.FLOAT)]
    path = save(tmp_path / "m.onnx", nodes, [value(name, T.INT64, [2])])
    assert agreement(path, [1, 2]) == 0


def test_tensorflow_lite_gets_them_too(agreement, tmp_path):
    from tests import tflite_kit

    path = tmp_path / "m.tflite"
    path.write_bytes(tflite_kit.of_two_inputs(["a", "b"]))
    shape = tuple(size or 1 for size in inspect_file(path).inputs[0].shape or ())
    one = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    np.save(tmp_path / "a.npy", one)
    assert agreement(path, one + 2, values={"a": "a.npy", "b": 2}) == 0
