"""Which operators of a file make random numbers."""

from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper
from tests import tflite_kit

from lutfarm_jobs.models.chance import random_in_onnx, random_in_tflite
from lutfarm_jobs.models.tflite.reader import operator_codes


def graph(*nodes: onnx.NodeProto, name: str = "g") -> onnx.GraphProto:
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    return helper.make_graph(list(nodes), name, [], [value])


def found(model: onnx.ModelProto) -> tuple[str, ...]:
    return random_in_onnx(memoryview(model.SerializeToString()))


def normal() -> onnx.NodeProto:
    return helper.make_node("RandomNormal", [], ["r"], shape=[1])


@pytest.mark.parametrize(
    ("node", "kinds"),
    [
        (normal(), ("RandomNormal",)),
        (helper.make_node("RandomUniformLike", ["x"], ["r"]), ("RandomUniformLike",)),
        (helper.make_node("Multinomial", ["x"], ["r"]), ("Multinomial",)),
        (helper.make_node("Bernoulli", ["x"], ["r"]), ("Bernoulli",)),
        (helper.make_node("Dropout", ["x"], ["r"]), ()),
        (helper.make_node("Dropout", ["x", "ratio"], ["r"]), ()),
        (helper.make_node("Dropout", ["x", "", ""], ["r"]), ()),
        (helper.make_node("Dropout", ["x", "", "training"], ["r"]), ("Dropout",)),
        (helper.make_node("Relu", ["RandomNormal"], ["r"], name="RandomNormal"), ()),
    ],
)
def test_nodes(node: onnx.NodeProto, kinds: tuple[str, ...]) -> None:
    assert found(helper.make_model(graph(node))) == kinds


def test_in_subgraphs_and_local_functions() -> None:
    inner = graph(helper.make_node("If", ["c"], ["z"], then_branch=graph(normal()), else_branch=graph(name="e")))
    outer = helper.make_model(graph(helper.make_node("Loop", ["n", "c"], ["y"], body=inner)))
    assert found(outer) == ("RandomNormal",)
    local = helper.make_function("here", "F", [], ["b"], [helper.make_node("Bernoulli", ["x"], ["b"])], [])
    assert found(helper.make_model(graph(helper.make_node("F", [], ["y"], domain="here")), functions=[local])) == ("Bernoulli",)


def test_tflite() -> None:
    assert random_in_tflite(operator_codes(memoryview(tflite_kit.random_uniform()))) == ("RANDOM_UNIFORM",)
    assert random_in_tflite(operator_codes(memoryview(tflite_kit.recurrent()))) == ()
