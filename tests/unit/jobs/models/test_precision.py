"""What a model file computes in is read from it; what it doesn't tell is left open."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto as T
from onnx import helper, numpy_helper
from tests import models_kit as kit
from tests.made_models_kit import F16, F32, I8, I32, WEIGHT, Kind, Node, Op, model, node, tflite, weight

from lutfarm_jobs.models.onnx.precision import onnx_precision
from lutfarm_jobs.models.onnx.writer import write_onnx
from lutfarm_jobs.models.tflite.precision import tflite_precision
from lutfarm_jobs.models.tflite.writer import write_tflite
from lutfarm_jobs.precision import canonical

SCALE = weight("s", T.FLOAT, [])
INT8 = weight("z", T.INT8, [])
Q_X = [node("QuantizeLinear", "x s z", "xq"), node("DequantizeLinear", "xq s z", "xd")]
Q_W = [node("DequantizeLinear", "wq s z", "wd")]
QDQ = [*Q_X, *Q_W, node("MatMul", "xd wd", "m"), node("QuantizeLinear", "m s z", "mq"), node("DequantizeLinear", "mq s z", "y")]


def same(kind: int) -> bytes:
    return model([node("MatMul", "x w", "y")], weight("w", kind), kind=kind, out=kind)


def then(first: list[Node], *more: Node) -> list[Node]:
    return [*first, *more]


def branch(then_kind: str) -> Node:
    def body(name: str, nodes: list[Node]) -> onnx.GraphProto:
        return helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(f"{name}_y", T.FLOAT, None)])

    return node(
        "If", "c", "y", then_branch=body("a", [node(then_kind, "x w", "a_y")]), else_branch=body("b", [node("Relu", "x", "b_y")])
    )


CASES: dict[str, tuple[bytes, str]] = {
    "float32": (same(T.FLOAT), "fp32"),
    "float16": (same(T.FLOAT16), "fp16"),
    "bfloat16": (same(T.BFLOAT16), "bf16"),
    "float64": (same(T.DOUBLE), "fp64"),
    "quantised and dequantised": (model(QDQ, weight("wq", T.INT8), SCALE, INT8), "int8"),
    "unsigned beside signed": (model(QDQ, weight("wq", T.UINT8), SCALE, INT8), "int8"),
    "16 bits": (model(QDQ, weight("wq", T.INT16), SCALE, weight("z", T.UINT16, [])), "int16"),
    "activations of 16 bits": (model(QDQ, weight("wq", T.INT8), SCALE, weight("z", T.UINT16, [])), "int8+int16"),
    "weights alone": (model([*Q_W, node("MatMul", "x wd", "y")], weight("wq", T.INT8), SCALE, INT8), "int8+fp32"),
    "weights alone, of 4 bits beside float16": (
        model(
            [*Q_W, node("MatMul", "x wd", "y")],
            weight("wq", T.INT4),
            weight("s", T.FLOAT16, []),
            weight("z", T.INT4, []),
            kind=T.FLOAT16,
            out=T.FLOAT16,
        ),
        "int4+fp16",
    ),
    "weights moved before the product": (
        model([*Q_X, *Q_W, node("Transpose", "wd", "wt"), node("MatMul", "xd wt", "y")], weight("wq", T.INT8), SCALE, INT8),
        "int8",
    ),
    "some layers so, some otherwise": (
        model(
            [*QDQ[:-1], node("DequantizeLinear", "mq s z", "n"), node("MatMul", "n w", "y")],
            weight("wq", T.INT8),
            weight("w", T.FLOAT),
            SCALE,
            INT8,
        ),
        "int8+fp32",
    ),
    "dynamically": (
        model(
            [
                node("DynamicQuantizeLinear", "x", "xq xs xz"),
                node("MatMulInteger", "xq wq xz z", "i"),
                node("Cast", "i", "f", to=T.FLOAT),
                node("Mul", "f xs", "y"),
            ],
            weight("wq", T.INT8),
            INT8,
        ),
        "int8",
    ),
    "quantised operators": (
        model(
            [
                node("QuantizeLinear", "x s z", "xq"),
                node("QLinearConv", "xq s z wq s z s z", "yq"),
                node("DequantizeLinear", "yq s z", "y"),
            ],
            weight("wq", T.INT8),
            SCALE,
            INT8,
        ),
        "int8",
    ),
    "packed weights of a contributed operator": (
        model(
            [node("MatMulNBits", "x wq s", "y", domain="com.microsoft", bits=4, K=4, N=4, block_size=16)],
            weight("wq", T.UINT8),
            SCALE,
        ),
        "int4+fp32",
    ),
    "float16 inside, float32 outside": (
        model(
            [node("Cast", "x", "h", to=T.FLOAT16), node("MatMul", "h w", "m"), node("Cast", "m", "y", to=T.FLOAT)],
            weight("w", T.FLOAT16),
        ),
        "fp16",
    ),
    "a weight from a node": (
        model(
            [
                node("Constant", "", "w", value=numpy_helper.from_array(np.zeros((4, 4), np.float16))),
                node("Cast", "x", "h", to=T.FLOAT16),
                node("Gemm", "h w", "m"),
                node("Cast", "m", "y", to=T.FLOAT),
            ]
        ),
        "fp16",
    ),
    "a sum of products by letters": (
        model([*Q_W, node("Einsum", "x wd", "y", equation="ij,jk->ik")], weight("wq", T.INT8), SCALE, INT8),
        "int8+fp32",
    ),
    "packed weights of another contributed operator": (
        model([node("MatMulBnb4", "x wq s", "y", domain="com.microsoft")], weight("wq", T.UINT8), SCALE),
        "int4+fp32",
    ),
    "packed weights of 8 bits": (
        model([node("QMoE", "x r wq s", "y", domain="com.microsoft", expert_weight_bits=8)], weight("wq", T.UINT8), SCALE),
        "int8+fp32",
    ),
    "in a branch": (model([branch("MatMul")], weight("w", T.FLOAT), weight("c", T.BOOL, [])), "fp32"),
    "nothing but an activation": (model([node("Relu", "x", "y")]), "fp32"),
    "nothing but a quantised activation": (
        model(
            then(Q_X, node("Relu", "xd", "r"), node("QuantizeLinear", "r s z", "rq"), node("DequantizeLinear", "rq s z", "y")),
            SCALE,
            INT8,
        ),
        "int8",
    ),
    "indices": (model([node("Add", "x x", "y")], kind=T.INT64, out=T.INT64), ""),
    "a product of indices": (model([node("MatMul", "x x", "y")], kind=T.INT32, out=T.INT32), ""),
    "an operator of somebody's own": (model([node("Teleport", "x", "y", domain="elsewhere")]), ""),
    "a product beside an operator of somebody's own": (
        model([node("MatMul", "x w", "m"), node("Teleport", "m", "y", domain="elsewhere")], weight("w", T.FLOAT)),
        "fp32",
    ),
    "a product of something unknown": (model([node("Teleport", "x", "t", domain="elsewhere"), node("MatMul", "t t", "y")]), ""),
}


@pytest.mark.parametrize(("content", "expected"), CASES.values(), ids=CASES)
def test_an_onnx_file_computes_in_what_its_operators_take(content: bytes, expected: str) -> None:
    assert onnx_precision(memoryview(content)) == expected


def function(name: str, nodes: list[Node]) -> onnx.FunctionProto:
    return helper.make_function("mine", name, ["a", "b"], ["c"], nodes, [helper.make_opsetid("", 17)])


def test_a_function_of_the_model_is_looked_into() -> None:
    inner = function("product", [node("MatMul", "a b", "c")])
    content = model([node("product", "x w", "y", domain="mine")], weight("w", T.FLOAT), functions=[inner])
    assert onnx_precision(memoryview(content)) == "fp32"


def test_of_two_functions_of_one_name_the_one_that_is_called_counts() -> None:
    def overloaded(name: str, nodes: list[Node]) -> onnx.FunctionProto:
        return helper.make_function("mine", "f", ["a", "b"], ["c"], nodes, [helper.make_opsetid("", 17)], overload=name)

    half = [node("Cast", "a", "h", to=T.FLOAT16), node("Cast", "b", "v", to=T.FLOAT16), node("MatMul", "h v", "p"),
            node("Cast", "p", "c", to=T.FLOAT)]  # fmt: skip
    call = node("f", "x w", "y", domain="mine")
    call.overload = "half"
    functions = [overloaded("half", half), overloaded("", [node("MatMul", "a b", "c")])]
    assert onnx_precision(memoryview(model([call], weight("w", T.FLOAT), functions=functions))) == "fp16"


def test_sparse_weights_have_a_type() -> None:
    graph = onnx.load_from_string(model([node("MatMul", "x w", "y")])).graph
    graph.sparse_initializer.add(values=weight("w", T.FLOAT16, [3]), dims=WEIGHT)
    graph.input[0].type.tensor_type.elem_type = T.FLOAT16
    assert onnx_precision(memoryview(helper.make_model(graph).SerializeToString())) == "fp16"


def test_functions_that_call_themselves_end() -> None:
    for calls in (1, 3):
        inner = function("f", [node("f", "a b", "c", domain="mine")] * calls)
        assert onnx_precision(memoryview(model([node("f", "x x", "y", domain="mine")], functions=[inner]))) == ""


TFLITE_CASES: dict[str, tuple[bytes, str]] = {
    "float32": (tflite([(Op.FULLY_CONNECTED, [0, 1], [2])], [F32, F32, F32], constants=[1]), "fp32"),
    "int8 through and through": (tflite([(Op.FULLY_CONNECTED, [0, 1], [2])], [I8, I8, I8], constants=[1]), "int8"),
    "int8 between floats": (
        tflite(
            [(Op.QUANTIZE, [0], [1]), (Op.CONV_2D, [1, 2], [3]), (Op.DEQUANTIZE, [3], [4])], [F32, I8, I8, I8, F32], constants=[2]
        ),
        "int8",
    ),
    "weights of 8 bits, quantised on the way": (
        tflite([(Op.FULLY_CONNECTED, [0, 1], [2])], [F32, I8, F32], constants=[1]),
        "int8+fp32",
    ),
    "16 bits by 8": (tflite([(Op.CONV_2D, [0, 1], [2])], [Kind.INT16, I8, Kind.INT16], constants=[1]), "int8+int16"),
    "weights stored in float16": (
        tflite([(Op.DEQUANTIZE, [1], [2]), (Op.CONV_2D, [0, 2], [3])], [F32, F16, F32, F32], constants=[1]),
        "fp16+fp32",
    ),
    "an input that is dequantised first": (
        tflite([(Op.DEQUANTIZE, [0], [1]), (Op.CONV_2D, [1, 2], [3])], [I8, F32, F32, F32], constants=[2]),
        "fp32",
    ),
    "a transposed convolution": (tflite([(Op.TRANSPOSE_CONV, [1, 2, 0], [3])], [I8, I32, I8, I8], constants=[1, 2]), "int8"),
    "an activation alone": (tflite([(Op.RELU, [0], [1])], [F32, F32]), "fp32"),
    "a quantised activation alone": (tflite([(Op.RELU, [0], [1])], [I8, I8]), "int8"),
    "indices": (tflite([(Op.ADD, [0, 0], [1])], [I32, I32]), ""),
    "places in a table": (tflite([(Op.EMBEDDING_LOOKUP, [0, 1], [2])], [I32, F32, F32], constants=[1]), "fp32"),
    "somebody's own": (tflite([(Op.CUSTOM, [0], [1])], [F32, F32]), ""),
}


@pytest.mark.parametrize(("content", "expected"), TFLITE_CASES.values(), ids=TFLITE_CASES)
def test_a_tflite_file_computes_in_what_its_operators_take(content: bytes, expected: str) -> None:
    assert tflite_precision(memoryview(content)) == expected


@pytest.mark.parametrize("name", sorted(kit.SMALL))
def test_what_lutfarm_builds_is_in_fp32_and_says_so(name: str) -> None:
    graph = kit.graph(kit.SMALL[name])
    assert onnx_precision(memoryview(write_onnx(graph))) == "fp32"
    assert tflite_precision(memoryview(write_tflite(graph))) == "fp32"


VALID = {onnx_precision: CASES["quantised operators"][0], tflite_precision: TFLITE_CASES["weights stored in float16"][0]}


@settings(max_examples=300)
@given(st.sampled_from(sorted(VALID, key=lambda read: read.__name__)), st.data())
def test_whatever_the_bytes_something_is_said_or_nothing(read: Any, data: st.DataObject) -> None:
    content = bytearray(VALID[read])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    assert isinstance(read(memoryview(bytes(content))), str)


@pytest.mark.parametrize(("text", "expected"), [("int8", "int8"), ("fp32+int8", "int8+fp32"), ("fp16+fp16", "fp16")])
def test_a_precision_is_written_in_one_way(text: str, expected: str) -> None:
    assert canonical(text) == expected


@pytest.mark.parametrize("text", ["", "int7", "int8+", "fp32 ", "INT8", "mixed"])
def test_a_precision_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="known: int2, int4, fp4, int8"):
        canonical(text)
