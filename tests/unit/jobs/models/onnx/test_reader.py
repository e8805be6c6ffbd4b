"""Readers of model files from outside: whatever the bytes, only Malformed comes out."""

from __future__ import annotations

import struct
from collections.abc import Callable

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from tests import models_kit as kit

from lutfarm_jobs.models.bounds import Budget, Malformed
from lutfarm_jobs.models.info import ModelInput
from lutfarm_jobs.models.onnx.protobuf import fields, integers, nested, number
from lutfarm_jobs.models.onnx.reader import read_onnx
from lutfarm_jobs.models.onnx.writer import write_onnx
from lutfarm_jobs.models.tflite.reader import read_tflite
from lutfarm_jobs.models.tflite.writer import write_tflite

READERS: dict[str, Callable[[memoryview], tuple[ModelInput, ...]]] = {"onnx": read_onnx, "tflite": read_tflite}
VALID = {
    "onnx": write_onnx(kit.graph(kit.SMALL["squeeze_excite"])),
    "tflite": write_tflite(kit.graph(kit.SMALL["squeeze_excite"])),
}
FORMATS = st.sampled_from(["onnx", "tflite"])


def survives(fmt: str, content: bytes) -> None:
    try:
        READERS[fmt](memoryview(content))
    except Malformed as error:
        assert str(error)


@given(FORMATS, st.binary(max_size=400))
@settings(max_examples=200)
def test_random_bytes(fmt: str, content: bytes) -> None:
    survives(fmt, content)


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_random_bytes_behind_the_mark_of_tflite(content: bytes) -> None:
    survives("tflite", struct.pack("<I", 8) + b"TFL3" + content)


@given(FORMATS, st.data())
@settings(max_examples=200)
def test_a_valid_file_with_changed_bytes(fmt: str, data: st.DataObject) -> None:
    content = bytearray(VALID[fmt])
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    survives(fmt, bytes(content))


@given(FORMATS, st.data())
@settings(max_examples=100)
def test_a_file_that_was_cut_is_refused(fmt: str, data: st.DataObject) -> None:
    whole = VALID[fmt]
    with pytest.raises(Malformed):
        READERS[fmt](memoryview(whole[: data.draw(st.integers(0, len(whole) - 17))]))


def test_valid_files_are_read() -> None:
    assert read_onnx(memoryview(VALID["onnx"])) == (ModelInput("input", (1, 8, 9, 9), "float32"),)
    assert read_tflite(memoryview(VALID["tflite"])) == (ModelInput("input", (1, 9, 9, 8), "float32"),)


def identity(name: str = "x", shape: list[int | str | None] | None = None, kind: int = TensorProto.FLOAT):
    """A graph of one node."""
    return helper.make_graph(
        [helper.make_node("Identity", [name], ["y"])], "g",
        [helper.make_tensor_value_info(name, kind, shape)],
        [helper.make_tensor_value_info("y", kind, shape)],
    )  # fmt: skip


def read(graph: onnx.GraphProto, **more: object) -> tuple[ModelInput, ...]:
    return read_onnx(memoryview(helper.make_model(graph, **more).SerializeToString()))


@pytest.mark.parametrize(
    ("shape", "read_as"),
    [([1, 3], (1, 3)), (["batch", 3, None], (None, 3, None)), ([-1, 0, 5], (None, 0, 5)), ([], ()), (None, None)],
)
def test_dimensions_that_the_file_leaves_open(shape, read_as) -> None:
    (found,) = read(identity(shape=shape))
    assert found.shape == read_as
    assert found.is_dynamic == (read_as is None or None in read_as)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (TensorProto.INT64, "int64"),
        (TensorProto.BOOL, "bool"),
        (TensorProto.STRING, "string"),
        (TensorProto.INT4, "int4"),
        (TensorProto.FLOAT8E5M2, "float8_e5m2"),
        (TensorProto.BFLOAT16, "bfloat16"),
        (99, "type 99"),
    ],
)
def test_element_types(kind: int, name: str) -> None:
    assert read(identity(shape=[1], kind=kind))[0].dtype == name


def test_inputs_that_have_an_initializer_are_not_asked_for() -> None:
    graph = identity(shape=[1])
    graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [1]))
    graph.initializer.append(helper.make_tensor("w", TensorProto.FLOAT, [1], [0.0]))
    assert [i.name for i in read(graph)] == ["x"]


def test_inputs_that_are_no_tensors_are_named_so() -> None:
    graph = identity(shape=[1])
    row = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [4]))
    graph.input.append(helper.make_value_info("s", row))
    graph.input.append(helper.make_value_info("o", helper.make_optional_type_proto(row)))
    graph.input.append(helper.make_sparse_tensor_value_info("sparse", TensorProto.FLOAT, [4]))
    found = read(graph)
    assert [i.dtype for i in found] == ["float32", "sequence(float32)", "optional(sequence(float32))", "sparse()"]
    assert found[2].shape == (4,)
    assert not any(i.is_dynamic for i in found)


def test_operators_of_other_domains_pass() -> None:
    graph = identity(shape=[1])
    graph.node[0].domain = "com.example"
    graph.node[0].op_type = "Nobody"
    assert len(read(graph, opset_imports=[helper.make_opsetid("com.example", 1)])) == 1


def external() -> TensorProto:
    tensor = helper.make_tensor("secret", TensorProto.FLOAT, [1], [0.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def in_initializer(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(external())


def in_sparse_initializer(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add().values.CopyFrom(external())


def in_sparse_indices(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add().indices.CopyFrom(external())


def in_attribute(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.add(name="value").t.CopyFrom(external())


def in_attribute_list(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.add(name="values").tensors.append(external())


def in_sparse_attribute(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.add(name="value").sparse_tensor.values.CopyFrom(external())


def in_subgraph(model: onnx.ModelProto) -> None:
    inner = identity(shape=[1])
    inner.initializer.append(external())
    model.graph.node[0].attribute.add(name="body").g.CopyFrom(inner)


def in_subgraph_list(model: onnx.ModelProto) -> None:
    inner = identity(shape=[1])
    inner.node[0].attribute.add(name="value").t.CopyFrom(external())
    model.graph.node[0].attribute.add(name="bodies").graphs.append(inner)


def in_function(model: onnx.ModelProto) -> None:
    model.functions.add(name="f").node.append(helper.make_node("Constant", [], ["c"], value=external()))


def in_function_default(model: onnx.ModelProto) -> None:
    model.functions.add(name="f").attribute_proto.add(name="value").t.CopyFrom(external())


def in_training(model: onnx.ModelProto) -> None:
    model.training_info.add().initialization.initializer.append(external())


def by_location_alone(model: onnx.ModelProto) -> None:
    tensor = external()
    tensor.ClearField("external_data")
    model.graph.initializer.append(tensor)


def by_reference_alone(model: onnx.ModelProto) -> None:
    tensor = external()
    tensor.ClearField("data_location")
    model.graph.initializer.append(tensor)


@pytest.mark.parametrize(
    "hide",
    [in_initializer, in_sparse_initializer, in_sparse_indices, in_attribute, in_attribute_list, in_sparse_attribute,
     in_subgraph, in_subgraph_list, in_function, in_function_default, in_training, by_location_alone,
     by_reference_alone],
)  # fmt: skip
def test_external_data_is_found_wherever_it_is(hide: Callable[[onnx.ModelProto], None]) -> None:
    model = helper.make_model(identity(shape=[1]))
    hide(model)
    with pytest.raises(Malformed, match="'secret' lies in another file"):
        read_onnx(memoryview(model.SerializeToString()))


def test_absurd_declared_shapes_are_refused() -> None:
    with pytest.raises(Malformed, match=r"'x' is declared as float32\[100000, 100000\]: at least 40000000000 bytes"):
        read(identity(shape=[100_000, 100_000]))
    with pytest.raises(Malformed, match="with 100000 dimensions"):
        read(identity(shape=[2] * 100_000))
    graph = identity(shape=[1])
    graph.initializer.append(TensorProto(name="w", dims=[2**40], data_type=1))
    with pytest.raises(Malformed, match="'w' is declared as"):
        read(graph)
    graph.initializer[0].dims[:] = [-5]
    with pytest.raises(Malformed, match="'w' has a negative size"):
        read(graph)


def test_messages_nested_without_end_are_refused() -> None:
    graph = identity(shape=[1]).SerializeToString()
    inner = b""
    for _ in range(200):
        for field in (6, 5, 1):  # graph in attribute in node in graph
            inner = bytes([field << 3 | 2]) + encoded(len(inner)) + inner
    model = b"\x08\x08" + b"\x3a" + encoded(len(graph) + len(inner)) + graph + inner
    with pytest.raises(Malformed, match="more than 64 deep"):
        read_onnx(memoryview(model))


def encoded(value: int) -> bytes:
    """A varint."""
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


@pytest.mark.parametrize("content", [b"\x0b", b"\x0c", b"\x0f"], ids=["group", "end of group", "no wire type"])
def test_wire_types_that_onnx_never_has_are_refused(content: bytes) -> None:
    with pytest.raises(Malformed, match="wire type"):
        list(fields(memoryview(content), Budget()))


@pytest.mark.parametrize("content", [b"\x0a\x03ab", b"\x09" + b"1" * 7, b"\x0d" + b"1" * 3, b"\x0a\x01"])
def test_a_field_that_goes_beyond_its_message_is_refused(content: bytes) -> None:
    with pytest.raises(Malformed, match="beyond its end"):
        list(fields(memoryview(content), Budget()))


def test_fields_are_bounded() -> None:
    with pytest.raises(Malformed, match="more than"):
        list(fields(memoryview(b"\x08\x01" * 11), Budget(10)))
    assert len(list(fields(memoryview(b"\x08\x01" * 10), Budget(10)))) == 10


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20))
def test_packed_integers_are_read_as_onnx_writes_them(values: list[int]) -> None:
    content = TensorProto(dims=values).SerializeToString()
    found = [n for field, value in fields(memoryview(content), Budget()) if field == 1 for n in integers(value, Budget())]
    assert found == values


def test_kinds_of_values_are_told_apart() -> None:
    with pytest.raises(Malformed, match="number stands"):
        nested(5)
    with pytest.raises(Malformed, match="message stands"):
        number(memoryview(b""))
    with pytest.raises(Malformed, match="more than ten bytes"):
        list(fields(memoryview(b"\x80" * 11), Budget()))


def test_an_empty_onnx_graph_is_no_model() -> None:
    with pytest.raises(Malformed, match="no ONNX graph with an output"):
        read_onnx(memoryview(onnx.ModelProto(ir_version=8).SerializeToString()))
