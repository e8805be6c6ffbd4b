"""Values of inputs in the host's memory, and the one file in which those of a workload travel to a device.

For onnxruntime that is a model without inputs, whose outputs are the values: it can hold whatever a model can take.  For
TensorFlow Lite it is an .npz.  Either holds one value after the other, named v0, v1, ...
"""
# onnx is only partly annotated.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lutfarm_jobs.models.info import ONNX_TYPES
from lutfarm_jobs.runtimes import ModelFormat

LARGEST_VALUES_BYTES = 1 << 30  # of all inputs of a workload; protobuf ends at twice that


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """`array` has numpy's or ml_dtypes' type of that name; texts are an array of objects."""

    dtype: str
    array: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """In elements."""
        return tuple(self.array.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """What ONNX calls a sequence: tensors of one type."""

    dtype: str
    items: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Maybe:
    """What ONNX calls an optional, with a value or without."""

    value: Tensor | Row


@dataclass(frozen=True, slots=True)
class Absent:
    """An optional without a value: no file can hold it, the runner hands in nothing."""


Value = Tensor | Row | Maybe


_SINCE = (("int2", (13, 25)), ("float4", (11, 23)), ("float8_e8", (12, 24)), ("int4", (10, 21)), ("float8", (9, 19)))


def packed(values: Sequence[Value], fmt: ModelFormat) -> bytes:
    """The file, the same bytes for the same values.  Raises ValueError for what a .tflite can't take."""
    return _onnx(values) if fmt == "onnx" else _npz(values)


def _npz(values: Sequence[Value]) -> bytes:
    arrays: dict[str, Any] = {}
    for position, value in enumerate(values):
        if not isinstance(value, Tensor):
            raise ValueError("a .tflite model takes tensors alone")
        array = value.array
        if value.dtype == "string":
            array = np.array([item.encode() for item in array.ravel()]).reshape(array.shape)
        arrays[f"v{position}"] = array
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def _onnx(values: Sequence[Value]) -> bytes:
    import onnx

    graph = onnx.GraphProto(name="values")
    for position, value in enumerate(values):
        _add(graph, f"v{position}", value)
    ir, opset = max((_least_versions(value) for value in values), default=(7, 13))
    model = onnx.ModelProto(ir_version=ir, graph=graph, opset_import=[onnx.OperatorSetIdProto(version=opset)])
    return model.SerializeToString(deterministic=True)


def _add(graph: Any, name: str, value: Value) -> None:
    from onnx import helper

    kind = _type(value)
    _make(graph, name, value)
    graph.output.append(helper.make_value_info(name, kind))


def _make(graph: Any, name: str, value: Value) -> None:
    """Initializers and nodes of which one puts out `name`."""
    from onnx import helper

    if isinstance(value, Tensor):
        graph.initializer.append(_proto(name, value))
    elif isinstance(value, Maybe):
        _make(graph, f"{name}_in", value.value)
        graph.node.append(helper.make_node("Optional", [f"{name}_in"], [name]))
    elif value.items:
        names = [f"{name}_{index}" for index in range(len(value.items))]
        graph.initializer.extend(_proto(*pair) for pair in zip(names, value.items, strict=True))
        graph.node.append(helper.make_node("SequenceConstruct", names, [name]))
    else:
        graph.node.append(helper.make_node("SequenceEmpty", [], [name], dtype=ONNX_TYPES[value.dtype]))


def _proto(name: str, value: Tensor) -> Any:
    from onnx import helper, numpy_helper

    if value.dtype == "string":
        texts = [item.encode() for item in value.array.ravel()]
        return helper.make_tensor(name, ONNX_TYPES["string"], value.shape, texts)
    return numpy_helper.from_array(value.array, name)


def _type(value: Value) -> Any:
    from onnx import helper

    if isinstance(value, Tensor):
        return helper.make_tensor_type_proto(ONNX_TYPES[value.dtype], value.shape)
    if isinstance(value, Row):
        return helper.make_sequence_type_proto(helper.make_tensor_type_proto(ONNX_TYPES[value.dtype], None))
    return helper.make_optional_type_proto(_type(value.value))


def _least_versions(value: Value) -> tuple[int, int]:
    """The oldest file and operator versions that have the type, so that old runtimes read the rest."""
    if isinstance(value, Maybe):
        return max((8, 15), _least_versions(value.value))
    return next((versions for known, versions in _SINCE if known in value.dtype), (7, 13))
