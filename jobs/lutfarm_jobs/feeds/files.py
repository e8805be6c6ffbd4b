"""Files that hold values of inputs: .npy, .npz, and the protobufs of ONNX's own test data.  They are from outside."""
# onnx is only partly annotated.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lutfarm_jobs.feeds.values import LARGEST_VALUES_BYTES, Absent, Maybe, Row, Tensor, Value
from lutfarm_jobs.models.bounds import Budget, Malformed
from lutfarm_jobs.models.files import opened
from lutfarm_jobs.models.info import ONNX_TYPES, ModelInput
from lutfarm_jobs.models.onnx.protobuf import fields
from lutfarm_runner.commands import HIGHEST_RANK

SUFFIXES = (".npy", ".npz", ".pb")
MOST_ARRAYS = 10_000
_DATA_TYPE = {number: name for name, number in ONNX_TYPES.items()}


def read(path: Path, declared: ModelInput, array: str | None = None) -> Value | Absent:
    """What a file holds for an input; `array` names one of an .npz.

    Raises SpecError where it can't be read, ValueError where it is none or holds what the input does not take.
    """
    with opened(path, "a file with values", most_bytes=LARGEST_VALUES_BYTES) as file:
        content = file.read(LARGEST_VALUES_BYTES + 1)
    try:
        value = _value(path, content, declared, array)
    except Malformed as error:
        raise ValueError(f"{path.name} can't be used: {error}") from error
    return value if isinstance(value, Absent) else _fitting(value, declared, path.name)


def _value(path: Path, content: bytes, declared: ModelInput, array: str | None) -> Value | Absent:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return npy(content)
    if suffix == ".npz":
        return npy(_member(content, declared.name if array is None else array, named=array is not None))
    if suffix == ".pb":
        return protobuf(content, declared.dtype)
    raise ValueError(f"{path.name} ends in {suffix or 'nothing'}; values lie in {', '.join(SUFFIXES)} files")


def npy(content: bytes) -> Tensor:
    """An array of numpy's own format; objects, which are pickled, are refused.  Raises Malformed."""
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        read_header: Callable[[Any], Any] = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran, kind = read_header(file)
    except (ValueError, KeyError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise Malformed(f"it is no array of numpy: {str(error)[:200]}") from error
    if kind.hasobject or kind.names is not None or kind.subdtype is not None:
        raise Malformed(f"it holds {str(kind)[:80]}, not numbers or texts; objects are not read")
    wanted, there = math.prod(shape) * kind.itemsize, len(content) - file.tell()
    if wanted != there or len(shape) > HIGHEST_RANK or min(shape, default=0) < 0:
        raise Malformed(f"it should hold {list(shape)[:HIGHEST_RANK]} of {kind}, and has {there} bytes")
    flat = np.frombuffer(content, kind, offset=file.tell()) if wanted else np.empty(0, kind)
    whole = flat.reshape(shape, order="F" if fortran else "C")
    return _tensor(np.ascontiguousarray(whole).reshape(shape))


def _tensor(array: Any) -> Tensor:
    kind = array.dtype
    if kind.kind == "U":
        return Tensor("string", array.astype(object))
    if kind.kind == "S":
        texts = [item.decode("utf-8", "replace") for item in array.ravel()]
        return Tensor("string", np.array(texts, object).reshape(array.shape))
    return Tensor(kind.name, array.astype(kind.newbyteorder("="), copy=False))


def _member(content: bytes, name: str, *, named: bool) -> bytes:
    """One array of an .npz: that of the name, or the only one."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()[:MOST_ARRAYS]}
            info = members.get(name) or (next(iter(members.values())) if len(members) == 1 and not named else None)
            if info is None:
                there = ", ".join(list(members)[:10]) or "none"
                raise Malformed(f"it has no array {name[:80]!r}; its arrays are {there[:200]}")
            if info.file_size > LARGEST_VALUES_BYTES:
                raise Malformed(f"{info.filename[:80]!r} has {info.file_size} bytes; {LARGEST_VALUES_BYTES} is the most")
            with archive.open(info) as member:
                return member.read(info.file_size)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        if isinstance(error, Malformed):
            raise
        raise Malformed(f"it is no .npz: {str(error)[:200]}") from error


def protobuf(content: bytes, dtype: str) -> Value | Absent:
    """TensorProto, SequenceProto or OptionalProto, whichever the input's type asks for.  Raises Malformed."""
    import onnx
    from google.protobuf.message import DecodeError

    kinds = {"optional": onnx.OptionalProto, "sequence": onnx.SequenceProto}
    kind = kinds.get(dtype.partition("(")[0], onnx.TensorProto)
    _count(memoryview(content), Budget(), depth=0)
    try:
        proto = kind.FromString(content)
        return _optional(proto) if isinstance(proto, onnx.OptionalProto) else _decoded(proto)
    except DecodeError as error:
        raise Malformed(f"it is no {kind.DESCRIPTOR.name}: {str(error)[:200]}") from error


def _count(message: memoryview, budget: Budget, *, depth: int) -> None:
    """A hostile file can't cost more than its fields: a parser makes an object of each message in it."""
    for number, value in fields(message, budget):
        if depth < 3 and isinstance(value, memoryview) and number in (3, 4, 5, 6, 7):
            try:
                _count(value, budget, depth=depth + 1)
            except Malformed:  # packed numbers, which hold no messages
                budget.spend()


def _decoded(proto: Any) -> Tensor | Row:
    import onnx

    if isinstance(proto, onnx.TensorProto):
        return _of_proto(proto)
    if isinstance(proto, onnx.SequenceProto):
        if proto.elem_type not in (0, onnx.SequenceProto.TENSOR):
            raise Malformed("it is a sequence of something else than tensors")
        items = tuple(_of_proto(one) for one in proto.tensor_values)
        return Row(items[0].dtype if items else "", items)
    raise Malformed("it holds neither a tensor nor a sequence")


def _optional(proto: Any) -> Maybe | Absent:
    for name in ("tensor_value", "sequence_value"):
        if proto.HasField(name):
            return Maybe(_decoded(getattr(proto, name)))
    if proto.HasField("sparse_tensor_value") or proto.HasField("map_value") or proto.HasField("optional_value"):
        raise Malformed("it is an optional of something else than a tensor or a sequence")
    return Absent()


def _of_proto(proto: Any) -> Tensor:
    from onnx import numpy_helper

    dtype = _DATA_TYPE.get(proto.data_type)
    if dtype is None:
        raise Malformed(f"it holds elements of type {proto.data_type}, which is none that can be fed")
    if proto.data_location == 1 or proto.external_data:
        raise Malformed("its data lie in another file (external data)")
    if any(size < 0 for size in proto.dims) or len(proto.dims) > HIGHEST_RANK:
        raise Malformed(f"it has the shape {list(proto.dims)[:HIGHEST_RANK]}")
    if math.prod(proto.dims) > LARGEST_VALUES_BYTES:
        raise Malformed(f"it should hold {math.prod(proto.dims)} elements")
    try:
        if dtype == "string":
            texts = [text.decode("utf-8", "replace") for text in proto.string_data]
            return Tensor(dtype, np.array(texts, object).reshape(tuple(proto.dims)))
        return Tensor(dtype, np.ascontiguousarray(numpy_helper.to_array(proto)).reshape(tuple(proto.dims)))
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise Malformed(f"its elements do not fill its shape {list(proto.dims)}: {str(error)[:200]}") from error


def _fitting(value: Value, declared: ModelInput, name: str) -> Value:
    """The value as the input takes it.  Raises ValueError."""
    inner = value.value if isinstance(value, Maybe) else value
    wanted = declared.dtype.removeprefix("optional(").removeprefix("sequence(").rstrip(")")
    if isinstance(inner, Tensor) and inner.dtype != wanted and inner.array.dtype.kind == "V":
        inner = _viewed(inner, wanted)  # numpy writes types that it does not know as bytes
    if isinstance(inner, Row) and not inner.items:
        inner = Row(wanted, ())
    if inner.dtype != wanted or isinstance(inner, Row) != ("sequence(" in declared.dtype):
        what = f"a sequence of {inner.dtype}" if isinstance(inner, Row) else inner.dtype
        raise ValueError(f"{name} holds {what}; the model's input is {declared.text}")
    if isinstance(inner, Tensor) and not declared.takes(inner.shape):
        raise ValueError(f"{name} has the shape {list(inner.shape)}; the model's input is {declared.text}")
    return Maybe(inner) if declared.dtype.startswith("optional(") else inner


def _viewed(value: Tensor, wanted: str) -> Tensor:
    import ml_dtypes

    known = getattr(ml_dtypes, wanted, None)
    if known is None or np.dtype(known).itemsize != value.array.dtype.itemsize:
        return value
    return Tensor(wanted, value.array.view(known))
