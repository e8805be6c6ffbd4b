"""Small model files as tests need them, made by hand: ONNX nodes with weights that hold nothing, and .tflite graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import onnx
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto as T
from onnx import helper

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
