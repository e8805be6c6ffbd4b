"""What a model file computes in, and how many samples it takes, is read from it; what it doesn't tell is left open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto as T
from onnx import helper, numpy_helper
from tests import models_kit as kit

from lutfarm_jobs.models.batch import NO_BATCH, batch_of, onnx_leads, tflite_leads
from lutfarm_jobs.models.onnx.precision import onnx_precision
from lutfarm_jobs.models.onnx.writer import write_onnx
from lutfarm_jobs.models.tflite.precision import tflite_precision
from lutfarm_jobs.models.tflite.writer import write_tflite
from lutfarm_jobs.precision import canonical

Node = onnx.NodeProto
WEIGHT = [4, 4]


def node(kind: str, inputs: str, outputs: str, **attributes: Any) -> Node:
    return helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


def weight(name: str, kind: int, shape: Sequence[int] = WEIGHT) -> onnx.TensorProto:
    """Without numbers: nothing looks at them."""
    return onnx.TensorProto(name=name, data_type=kind, dims=shape)


def model(
    nodes: list[Node],
    *weights: onnx.TensorProto,
    kind: int = T.FLOAT,
    out: int = T.FLOAT,
    functions: Sequence[onnx.FunctionProto] = (),
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, [8, 4])],
        [helper.make_tensor_value_info("y", out, None)],
        list(weights),
    )
    return helper.make_model(graph, functions=list(functions)).SerializeToString()


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


Op, Kind = schema.BuiltinOperator, schema.TensorType


def tflite(
    operators: list[tuple[int, list[int], list[int]]], kinds: list[int], *, constants: Sequence[int] = (), options: Any = None
) -> bytes:
    """Tensor 0 is the input, the last one the output; int8 ones have a scale."""
    tensors = [
        schema.TensorT(
            shape=[8, 4],
            type=kind,
            name=f"t{at}",
            buffer=1 if at in constants else 0,
            quantization=schema.QuantizationParametersT(scale=[0.1], zeroPoint=[0]) if kind in (Kind.INT8, Kind.UINT8) else None,
        )
        for at, kind in enumerate(kinds)
    ]
    told = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T")) if options else 0
    codes = [schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=min(code, 127)) for code, _, _ in operators]
    graph = schema.SubGraphT(
        tensors=tensors,
        inputs=[0],
        outputs=[len(kinds) - 1],
        operators=[
            schema.OperatorT(opcodeIndex=at, inputs=i, outputs=o, builtinOptions=options, builtinOptionsType=told)
            for at, (_, i, o) in enumerate(operators)
        ],
    )
    buffers = [schema.BufferT(), schema.BufferT(data=[0] * 16)]
    builder = flatbuffers.Builder(1024)
    whole = schema.ModelT(version=3, operatorCodes=codes, subgraphs=[graph], buffers=buffers)
    builder.Finish(whole.Pack(builder), b"TFL3")
    return bytes(builder.Output())


F32, F16, I8, I32 = Kind.FLOAT32, Kind.FLOAT16, Kind.INT8, Kind.INT32
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


@pytest.mark.parametrize(
    ("shapes", "leads", "expected"),
    [
        ([(8, 64)], (8,), 8),
        ([(1, 3, 224, 224)], (), 1),
        ([(8, 3, 32, 32), (8, 10)], (None,), 8),
        ([(8, 3), ()], (8,), 8),  # a scalar has no say
        ([(1, 128), (1,)], (1,), 1),  # ids, and a length for each sample
        ([(1, 512), (2, 1, 128)], (1,), None),  # a state of two layers
        ([(224, 224, 3)], (1000,), None),  # an image without a batch
        ([(16000,)], (1,), None),  # sound
        ([(16000,)], (16000,), None),
        ([()], (), None),
        ([], (4,), None),
        ([(0, 64)], (0,), None),
        ([(10, 2, 3)], (10, NO_BATCH), None),  # ten steps of two samples
    ],
)
def test_the_batch_is_what_all_inputs_begin_with(
    shapes: list[tuple[int, ...]], leads: tuple[int | None, ...], expected: int | None
) -> None:
    assert batch_of(shapes, leads) == expected


def test_what_outputs_begin_with_is_read_as_far_as_it_is_declared() -> None:
    outputs = [
        helper.make_tensor_value_info(name, T.FLOAT, shape)
        for name, shape in (("a", [8, 2]), ("b", ["n", 2]), ("c", []), ("d", None), ("e", [0]))
    ]
    graph = helper.make_graph([], "g", [], outputs)
    assert onnx_leads(memoryview(helper.make_model(graph).SerializeToString())) == (8, None, None)
    assert tflite_leads(memoryview(tflite([(Op.RELU, [0], [1])], [F32, F32]))) == (8,)
    assert onnx_leads(memoryview(b"\x3a\xff")) == ()


@pytest.mark.parametrize(
    ("nodes", "no_batch"),
    [
        ([node("LSTM", "x w r", "y", hidden_size=4)], True),
        ([node("Identity", "x", "i"), node("GRU", "i w r", "y", hidden_size=4, layout=0)], True),
        ([node("GRU", "x w r", "y", hidden_size=4, layout=1)], False),
        ([node("Relu", "x", "i"), node("LSTM", "i w r", "y", hidden_size=4)], False),  # whatever i is by now
        ([node("Transpose", "x", "i", perm=[1, 0, 2]), node("LSTM", "i w r", "y", hidden_size=4)], False),
        ([node("ReverseSequence", "x l", "y", time_axis=0, batch_axis=1)], True),
        ([node("ReverseSequence", "x l", "y", time_axis=1, batch_axis=0)], False),
        ([node("Unsqueeze", "x", "i", axes=[0]), node("Conv", "i w", "y")], True),  # one image
        ([node("Unsqueeze", "x zero", "i"), node("Conv", "i w", "y")], True),
        ([node("Unsqueeze", "x one", "i"), node("Conv", "i w", "y")], False),
        ([node("Unsqueeze", "x somewhere", "i"), node("Conv", "i w", "y")], False),
    ],
)
def test_a_first_axis_that_is_time_or_a_channel_is_no_batch(nodes: list[Node], no_batch: bool) -> None:
    axes = [numpy_helper.from_array(np.array([at]), name) for at, name in enumerate(("zero", "one"))]
    assert onnx_leads(memoryview(model(nodes, *axes))) == ((NO_BATCH,) if no_batch else ())


@pytest.mark.parametrize("time_major", [True, False])
@pytest.mark.parametrize(
    ("code", "options"),
    [
        (Op.UNIDIRECTIONAL_SEQUENCE_RNN, schema.SequenceRNNOptionsT),
        (Op.BIDIRECTIONAL_SEQUENCE_RNN, schema.BidirectionalSequenceRNNOptionsT),
        (Op.UNIDIRECTIONAL_SEQUENCE_LSTM, schema.UnidirectionalSequenceLSTMOptionsT),
        (Op.BIDIRECTIONAL_SEQUENCE_LSTM, schema.BidirectionalSequenceLSTMOptionsT),
    ],
)
def test_a_tflite_files_sequence_may_have_its_time_first(code: int, options: Any, time_major: bool) -> None:
    content = tflite([(code, [0, 1, 1, 1, 1], [2])], [F32, F32, F32], constants=[1], options=options(timeMajor=time_major))
    assert tflite_leads(memoryview(content)) == ((8, NO_BATCH) if time_major else (8,))


@pytest.mark.parametrize(("text", "expected"), [("int8", "int8"), ("fp32+int8", "int8+fp32"), ("fp16+fp16", "fp16")])
def test_a_precision_is_written_in_one_way(text: str, expected: str) -> None:
    assert canonical(text) == expected


@pytest.mark.parametrize("text", ["", "int7", "int8+", "fp32 ", "INT8", "mixed"])
def test_a_precision_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="known: int2, int4, fp4, int8"):
        canonical(text)
