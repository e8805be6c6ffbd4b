"""Which inputs of a .tflite model decide what it computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema

from lutfarm_jobs.feeds.analysis import UNKNOWN, Analysis, analysis_of
from lutfarm_jobs.models.tflite.reader import read_tflite


def tflite(
    operators: Sequence[tuple[int, list[int], list[int], Any]],
    tensors: Sequence[tuple[str, list[int], int]],
    inputs: list[int],
    outputs: list[int],
    others: Sequence[tuple[Sequence[Any], list[int], list[int]]] = (),
) -> Analysis:
    """A model of one graph and others over the same tensors."""
    codes = sorted({op[0] for ops in (operators, *(one[0] for one in others)) for op in ops})

    def graph(ops: Sequence[Any], came: list[int], went: list[int]) -> Any:
        made_of = [schema.TensorT(shape=shape, type=kind, name=name) for name, shape, kind in tensors]
        return schema.SubGraphT(
            tensors=made_of,
            inputs=came,
            outputs=went,
            operators=[
                schema.OperatorT(
                    opcodeIndex=codes.index(code),
                    inputs=fed,
                    outputs=made,
                    builtinOptions=options,
                    builtinOptionsType=getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T")) if options else 0,
                )
                for code, fed, made, options in ops
            ],
        )

    model = schema.ModelT(
        version=3,
        buffers=[schema.BufferT()],
        operatorCodes=[schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=min(code, 127), version=1) for code in codes],
        subgraphs=[graph(operators, inputs, outputs), *(graph(*one) for one in others)],
    )
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    content = memoryview(bytes(builder.Output()))
    return analysis_of(content, "tflite", read_tflite(content))


Op, FLOAT32, INT32, BOOL = schema.BuiltinOperator, schema.TensorType.FLOAT32, schema.TensorType.INT32, schema.TensorType.BOOL
TENSORS = [
    ("x", [4, 8], FLOAT32),
    ("n", [2], INT32),
    ("k", [], BOOL),
    ("a", [4, 8], FLOAT32),
    ("b", [2], INT32),
    ("c", [], BOOL),
    ("z", [2], INT32),
]
DATA, MADE_OF_N, OTHER = 0, 4, 6


@pytest.mark.parametrize(
    ("code", "inputs"),
    [
        ("RESHAPE", [DATA, MADE_OF_N]),
        ("TILE", [DATA, MADE_OF_N]),
        ("RANGE", [MADE_OF_N, OTHER, OTHER]),
        ("SLICE", [DATA, OTHER, MADE_OF_N]),
        ("STRIDED_SLICE", [DATA, OTHER, MADE_OF_N, OTHER]),
        ("TOPK_V2", [DATA, MADE_OF_N]),
        ("FILL", [MADE_OF_N, DATA]),
        ("PAD", [DATA, MADE_OF_N]),
        ("WHERE", [MADE_OF_N]),
        ("UNIQUE", [MADE_OF_N]),
        ("ONE_HOT", [OTHER, MADE_OF_N, DATA, DATA]),
        ("BROADCAST_TO", [DATA, MADE_OF_N]),
        ("SPLIT", [MADE_OF_N, DATA]),
        ("RESIZE_BILINEAR", [DATA, MADE_OF_N]),
        ("EXPAND_DIMS", [DATA, MADE_OF_N]),
        ("TRANSPOSE_CONV", [MADE_OF_N, DATA, DATA]),
        ("NON_MAX_SUPPRESSION_V4", [OTHER, OTHER, MADE_OF_N, OTHER, OTHER]),
        ("SCATTER_ND", [OTHER, DATA, MADE_OF_N]),
        ("SUM", [DATA, MADE_OF_N]),
        ("SPLIT_V", [DATA, MADE_OF_N, OTHER]),
    ],
)
def test_tflite_operators_that_hang_on_a_value(code: str, inputs: list[int]) -> None:
    operators = [(Op.NEG, [1], [MADE_OF_N], None), (getattr(Op, code), inputs, [3], None)]
    assert tflite(operators, TENSORS, [0, 1], [3]).decided == {"n": (code,)}


def test_tflite_gathering_and_shapes_decide_nothing() -> None:
    found = tflite(
        [(Op.GATHER, [0, 1], [3], None), (Op.SHAPE, [3], [4], None), (Op.RESHAPE, [0, 4], [3], None)], TENSORS, [0, 1], [3]
    )
    assert found.decided == {}
    assert [(role.kind, role.rows) for role in found.roles["n"]] == [("GATHER", (4,))]
    for code, inputs, rows in ((Op.GATHER_ND, [0, 1], (4, 8)), (Op.SCATTER_ND, [1, 0, 2], (4, 8))):
        (role,) = tflite([(code, inputs, [3], None)], TENSORS, [0, 1], [3]).roles["n"]
        assert role.rows == rows


def test_tflite_branches_and_loops() -> None:
    branch = ([(Op.RESHAPE, [0, 1], [3], None)], [0, 1], [3])
    other = ([(Op.RELU, [0], [3], None)], [0, 1], [3])
    found = tflite([(Op.IF, [2, 0, 1], [3], schema.IfOptionsT(1, 2))], TENSORS, [0, 1, 2], [3], [branch, other])
    assert found.decided == {"k": ("IF",), "n": ("RESHAPE",)}
    condition = ([(Op.LESS, [1, 4], [5], None)], [1, 0], [5])
    round_ = ([(Op.NEG, [1], [4], None), (Op.RELU, [0], [3], None)], [1, 0], [4, 3])
    found = tflite([(Op.WHILE, [1, 0], [4, 3], schema.WhileOptionsT(1, 2))], TENSORS, [0, 1], [3], [condition, round_])
    assert found.decided == {"n": ("WHILE",)}
    found = tflite([(Op.WHILE, [4, 0], [4, 3], schema.WhileOptionsT(1, 2))], TENSORS, [0, 1], [3], [condition, round_])
    assert found.decided == {}
    assert found.computes


def test_tflite_models_that_compute_nothing() -> None:
    assert not tflite([(Op.ADD, [3, 3], [0], None)], TENSORS, [], [0]).computes
    assert not tflite([(Op.SHAPE, [0], [4], None)], TENSORS, [0], [4]).computes
    assert tflite([(Op.RELU, [0], [3], None)], TENSORS, [0], [3]).computes


def test_a_tflite_graph_that_calls_one_that_is_not_there_is_in_doubt() -> None:
    found = tflite([(Op.IF, [2, 0], [3], schema.IfOptionsT(7, 8))], TENSORS, [0, 2], [3])
    assert found.decided == {"x": (UNKNOWN,), "k": (UNKNOWN,)}
