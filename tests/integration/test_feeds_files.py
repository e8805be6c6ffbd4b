"""Values of inputs in files: what is read of them, what is refused, and what the runtimes get."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.feeds.resolve import Asked, Feeding, feeding
from lutfarm_jobs.models.inspect import inspect_file


def model(path: Path, *inputs: Any) -> Path:
    """Each input is put out as it is."""
    graph = helper.make_graph(
        [helper.make_node("Identity", [one.name], [f"{one.name}_out"]) for one in inputs],
        "g",
        list(inputs),
        [helper.make_value_info(f"{one.name}_out", one.type) for one in inputs],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)]).SerializeToString())
    return path


def tensor(name: str = "x", kind: int = TensorProto.FLOAT, shape: Any = (2, 3)) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def fed(path: Path, values: dict[str, object] | None = None, **asked: Any) -> Feeding:
    return feeding(inspect_file(path), Asked(path.parent, values=values or {}, **asked))


def held(found: Feeding) -> list[Any]:
    """What onnxruntime makes of the values file."""
    assert found.values_file is not None
    return onnxruntime.InferenceSession(found.values_file.content(), providers=["CPUExecutionProvider"]).run(None, {})


def test_npy_and_npz_arrays_arrive_as_they_are(tmp_path: Path) -> None:
    path = model(tmp_path / "m.onnx", tensor("x"), tensor("y", TensorProto.INT64, ("n",)), tensor("z", TensorProto.BOOL, (2,)))
    x, y = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([7, 8, 9])
    np.save(tmp_path / "x.npy", np.asfortranarray(x))
    np.savez(tmp_path / "all.npz", lengths=y.astype(">i8"), z=np.array([True, False]))
    found = fed(path, {"x": "x.npy", "y": {"file": "all.npz", "array": "lengths"}, "z": "all.npz"})
    first, second, third = held(found)
    assert np.array_equal(first, x)
    assert np.array_equal(second, y)
    assert third.tolist() == [True, False]
    assert [i.shape for i in found.inputs] == [(2, 3), (3,), (2,)]
    assert [(feed.said, feed.given) for feed in found.feeds] == [("x.npy", True), ("all.npz", True), ("all.npz", True)]


@pytest.mark.parametrize(
    "name", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "int4", "uint4", "float16", "uint64", "string", "int8"]
)
def test_test_data_of_every_element_type_comes_through_the_file(tmp_path: Path, name: str) -> None:
    kind = TensorProto.STRING if name == "string" else helper.np_dtype_to_tensor_dtype(np.dtype(getattr(ml_dtypes, name, name)))
    path = model(tmp_path / "m" / "model.onnx", tensor(kind=kind, shape=(3,)))
    data = path.parent / "test_data_set_0"
    data.mkdir()
    proto = (
        helper.make_tensor("x", kind, [3], [b"a", b"bc", b""])
        if name == "string"
        else numpy_helper.from_array(np.array([1, 2, 3]).astype(getattr(ml_dtypes, name, name)), "x")
    )
    (data / "input_0.pb").write_bytes(proto.SerializeToString())
    found = fed(path, test_data="test_data_set_0")
    assert found.values_file is not None
    kept = onnx.ModelProto.FromString(found.values_file.content()).graph.initializer[0]
    assert kept.data_type == kind
    assert numpy_helper.to_array(kept).tolist() == numpy_helper.to_array(proto).tolist()
    assert found.feeds[0].said == "test_data_set_0/input_0.pb"


def test_sequences_and_optionals_of_test_data_reach_the_runtime(tmp_path: Path) -> None:
    elements = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    row, maybe = helper.make_sequence_type_proto(elements), helper.make_optional_type_proto(elements)
    path = model(tmp_path / "model.onnx", helper.make_value_info("s", row), helper.make_value_info("o", maybe))
    data = tmp_path / "set"
    data.mkdir()
    parts = [np.ones(2, np.float32), np.zeros((1, 3), np.float32)]
    (data / "input_0.pb").write_bytes(numpy_helper.from_list(parts, "s").SerializeToString())
    (data / "input_1.pb").write_bytes(numpy_helper.from_optional(parts[0], "o").SerializeToString())
    sequence, optional = held(fed(path, test_data="set"))
    assert [part.tolist() for part in sequence] == [part.tolist() for part in parts]
    assert optional.tolist() == [1, 1]


def test_an_optional_without_a_value_is_handed_in_as_nothing(tmp_path: Path) -> None:
    elements = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    path = model(tmp_path / "model.onnx", helper.make_value_info("o", helper.make_optional_type_proto(elements)), tensor("x"))
    (tmp_path / "input_0.pb").write_bytes(onnx.OptionalProto(elem_type=1).SerializeToString())
    (tmp_path / "input_1.pb").write_bytes(numpy_helper.from_array(np.ones((2, 3), np.float32), "x").SerializeToString())
    found = fed(path, test_data=".")
    assert [feed.fill.kind for feed in found.feeds] == ["absent", "file"]
    assert len(held(found)) == 1


def test_the_same_values_make_the_same_file(tmp_path: Path) -> None:
    path = model(tmp_path / "m.onnx", tensor())
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", np.ones((2, 3), np.float32))
    np.save(tmp_path / "c.npy", np.zeros((2, 3), np.float32))
    one, same, other = (fed(path, {"x": f"{name}.npy"}).values_file for name in "abc")
    assert one is not None
    assert same is not None
    assert other is not None
    assert one.artifact == same.artifact != other.artifact


def test_a_file_that_changes_after_the_job_was_read_is_noticed(tmp_path: Path) -> None:
    path = model(tmp_path / "m.onnx", tensor())
    np.save(tmp_path / "x.npy", np.ones((2, 3), np.float32))
    found = fed(path, {"x": "x.npy"})
    np.save(tmp_path / "x.npy", np.zeros((2, 3), np.float32))
    assert found.values_file is not None
    with pytest.raises(SpecError, match="changed since the job was read"):
        found.values_file.content()


def _pickled(path: Path) -> None:
    np.save(path, np.array([{}], object), allow_pickle=True)


def _too_short(path: Path) -> None:
    np.save(path, np.ones((2, 3), np.float32))
    path.write_bytes(path.read_bytes()[:-1])


def _huge(path: Path) -> None:
    np.save(path, np.ones((2, 3), np.float32))
    path.write_bytes(path.read_bytes().replace(b"(2, 3), }          ", b"(2, 333333333333), }", 1))


def _link(path: Path) -> None:
    np.save(path.with_name("real.npy"), np.ones((2, 3), np.float32))
    path.symlink_to("real.npy")


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (_pickled, "objects are not read"),
        (_too_short, "it should hold"),
        (_huge, "it should hold"),
        (_link, "is a symbolic link"),
        (lambda path: path.write_bytes(b"nothing at all"), "is no array of numpy"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: np.save(path, np.ones((3, 2), np.float32)), r"shape \[3, 2\]; the model's input is float32\[2, 3\]"),
        (lambda path: np.save(path, np.ones((2, 3))), "holds float64; the model's input is float32"),
        (lambda path: np.save(path, np.ones((2, 3), [("a", "f4")])), "not numbers or texts"),
        (lambda path: None, "can't be read"),
    ],
)
def test_a_file_that_can_not_be_used_is_named_with_model_and_field(
    tmp_path: Path, write: Callable[[Path], object], said: str
) -> None:
    path = model(tmp_path / "m.onnx", tensor())
    write(tmp_path / "x.npy")
    with pytest.raises(SpecError, match=said) as caught:
        fed(path, {"x": "x.npy"})
    assert "x.npy" in str(caught.value)


def test_archives_that_can_not_be_used(tmp_path: Path) -> None:
    path = model(tmp_path / "m.onnx", tensor())
    np.savez(tmp_path / "two.npz", a=np.ones(1), b=np.ones(1))
    (tmp_path / "no.npz").write_bytes(b"PK\3\4 and then nothing")
    with zipfile.ZipFile(tmp_path / "zeros.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", b"\0" * 10_000_000)
    for name, said in (("two", "no array 'x'; its arrays are a, b"), ("no", "is no .npz"), ("zeros", "no array of numpy")):
        with pytest.raises(SpecError, match=said):
            fed(path, {"x": f"{name}.npz"})


def _external() -> bytes:
    proto = TensorProto(name="x", data_type=1, dims=[2, 3], data_location=TensorProto.EXTERNAL)
    proto.external_data.add(key="location", value="/etc/passwd")
    return proto.SerializeToString()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (_external(), "lie in another file"),
        (b"\x12" * 40, "can't be used"),
        (b"\x6a\x00" * 6_000_000, "more than 5000000 fields"),
        (TensorProto(data_type=1, dims=[1 << 40]).SerializeToString(), "it should hold"),
        (TensorProto(data_type=1, dims=[-1]).SerializeToString(), "it has the shape"),
        (TensorProto(data_type=1, dims=[2, 3], float_data=[1.0]).SerializeToString(), "do not fill its shape"),
        (TensorProto(data_type=99, dims=[2]).SerializeToString(), "elements of type 99"),
        (numpy_helper.from_array(np.ones((2, 3)), "x").SerializeToString(), "holds float64; the model's input is"),
    ],
)
def test_protobufs_that_can_not_be_used(tmp_path: Path, content: bytes, said: str) -> None:
    path = model(tmp_path / "m.onnx", tensor())
    (tmp_path / "input_0.pb").write_bytes(content)
    with pytest.raises(SpecError, match=said):
        fed(path, test_data=".")


def test_test_data_has_one_file_for_each_input_in_their_order(tmp_path: Path) -> None:
    path = model(tmp_path / "m.onnx", tensor("x"), tensor("y"))
    with pytest.raises(SpecError, match="can't be read"):
        fed(path, test_data="nowhere")
    (tmp_path / "input_1.pb").write_bytes(numpy_helper.from_array(np.ones((2, 3), np.float32)).SerializeToString())
    with pytest.raises(SpecError, match=r"should hold input_0.pb to input_1.pb, one for each input, and has input_1.pb"):
        fed(path, test_data=".")


def test_shapes_that_contradict_each_other_are_named(tmp_path: Path) -> None:
    path = model(tmp_path / "m.onnx", tensor(shape=("n", 3)))
    np.save(tmp_path / "x.npy", np.ones((2, 3), np.float32))
    with pytest.raises(SpecError, match=r"inputs.x is \[4, 3\], and the values of x have the shape \[2, 3\]"):
        fed(path, {"x": "x.npy"}, shapes={"x": (4, 3)})
