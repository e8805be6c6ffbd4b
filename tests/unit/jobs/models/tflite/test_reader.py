"""The reader of .tflite files: what is open, and files that contradict themselves."""

from __future__ import annotations

from collections.abc import Callable

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from lutfarm_jobs.models.bounds import LONGEST_NAME_BYTES, Malformed
from lutfarm_jobs.models.info import ModelInput
from lutfarm_jobs.models.tflite.reader import read_tflite


def packed(model: schema.ModelT) -> memoryview:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return memoryview(bytes(builder.Output()))


def tiny() -> schema.ModelT:
    """A .tflite of one RELU, as the object API holds it."""
    tensors = [schema.TensorT(shape=[1, 4], name=name) for name in ("in", "out")]
    operator = schema.OperatorT(opcodeIndex=0, inputs=[0], outputs=[1])
    graph = schema.SubGraphT(tensors=tensors, inputs=[0], outputs=[1], operators=[operator])
    code = schema.OperatorCodeT(builtinCode=19, deprecatedBuiltinCode=19)
    return schema.ModelT(version=3, operatorCodes=[code], subgraphs=[graph], buffers=[schema.BufferT()])


def test_open_dimensions_of_tflite_come_from_the_signature() -> None:
    model = tiny()
    model.subgraphs[0].tensors[0].shapeSignature = [-1, 4]
    assert read_tflite(packed(model)) == (ModelInput("in", (None, 4), "float32"),)


def break_version(model: schema.ModelT) -> None:
    model.version = 2


def break_input(model: schema.ModelT) -> None:
    model.subgraphs[0].inputs = [7]


def break_operator_code(model: schema.ModelT) -> None:
    model.subgraphs[0].operators[0].opcodeIndex = 3


def break_operator_input(model: schema.ModelT) -> None:
    model.subgraphs[0].operators[0].inputs = [-2]


def break_buffer(model: schema.ModelT) -> None:
    model.subgraphs[0].tensors[0].buffer = 9


def break_offset(model: schema.ModelT) -> None:
    model.buffers[0].offset, model.buffers[0].size = 2**40, 4


def drop_graphs(model: schema.ModelT) -> None:
    model.subgraphs = []


def drop_outputs(model: schema.ModelT) -> None:
    model.subgraphs[0].outputs = []


def use_external_buffer(model: schema.ModelT) -> None:
    model.subgraphs[0].tensors[0].externalBuffer = 1


def list_external_buffers(model: schema.ModelT) -> None:
    model.externalBuffers = [schema.ExternalBufferT()]


def ask_for_40_gb(model: schema.ModelT) -> None:
    model.subgraphs[0].tensors[0].shape = [100_000, 100_000]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (break_version, "schema version 2"),
        (break_input, "a tensor that is not among its 2"),
        (break_operator_code, "a code that the file doesn't list"),
        (break_operator_input, "a tensor that is not among its 2"),
        (break_buffer, "a buffer that the file doesn't hold"),
        (break_offset, "a buffer goes beyond"),
        (drop_graphs, "no graph"),
        (drop_outputs, "no output"),
        (use_external_buffer, "another file"),
        (list_external_buffers, "another file"),
        (ask_for_40_gb, "at least 40000000000 bytes"),
    ],
)
def test_tflite_files_that_contradict_themselves(damage: Callable[[schema.ModelT], None], says: str) -> None:
    model = tiny()
    assert len(read_tflite(packed(model))) == 1
    damage(model)
    with pytest.raises(Malformed, match=says):
        read_tflite(packed(model))


def test_tables_that_share_one_huge_list_can_not_take_forever() -> None:
    """A flatbuffer may name one operator many times: 60 kB that would be 36 million steps."""
    builder = flatbuffers.Builder(1024)
    code = schema.OperatorCodeT(builtinCode=19).Pack(builder)
    schema.OperatorStartInputsVector(builder, 3_000)
    for _ in range(3_000):
        builder.PrependInt32(-1)  # an optional input that is left out
    inputs = builder.EndVector()
    schema.OperatorStart(builder)
    schema.OperatorAddInputs(builder, inputs)
    operator = schema.OperatorEnd(builder)
    operators = offsets(builder, [operator] * 12_000)
    schema.SubGraphStart(builder)
    schema.SubGraphAddOperators(builder, operators)
    graphs = offsets(builder, [schema.SubGraphEnd(builder)])
    codes = offsets(builder, [code])
    schema.ModelStart(builder)
    schema.ModelAddVersion(builder, 3)
    schema.ModelAddOperatorCodes(builder, codes)
    schema.ModelAddSubgraphs(builder, graphs)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    content = bytes(builder.Output())
    assert len(content) < 64_000
    with pytest.raises(Malformed, match="more than 5000000"):
        read_tflite(memoryview(content))


def offsets(builder: flatbuffers.Builder, tables: list[int]) -> int:
    """A list of tables."""
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    return builder.EndVector()


def test_unusual_names_are_read_in_part_and_never_fail() -> None:
    model = tiny()
    model.subgraphs[0].tensors[0].name = b"\xff" * 50_000
    (found,) = read_tflite(packed(model))
    assert len(found.name) == LONGEST_NAME_BYTES
    assert np.unique(list(found.name)).size == 1
