"""What an .onnx file says about itself, read without a runtime and without building its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lutfarm_jobs.models.bounds import Budget, Malformed
from lutfarm_jobs.models.info import ONNX_TYPES, ModelInput, check_size
from lutfarm_jobs.models.onnx.protobuf import fields, integers, nested, number, text

DEEPEST = 64  # graphs within graphs; If and Loop nest a few

# Field numbers of onnx.proto3: which fields of a message hold messages that may hold tensors.
_INSIDE: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_ELEMENT_TYPES: Mapping[int, str] = {number: name for name, number in ONNX_TYPES.items()}
_CONTAINERS: Mapping[int, str] = {4: "sequence", 5: "map", 8: "sparse", 9: "optional"}  # fields of TypeProto
_DEEPEST_TYPE = 8


@dataclass(slots=True)
class _Header:
    budget: Budget
    inputs: dict[str, ModelInput] = field(default_factory=dict[str, ModelInput])
    initialized: set[str] = field(default_factory=set[str])
    outputs: int = 0
    versions: int = 0  # how many of ir_version and opset_import the file has


def read_onnx(content: memoryview) -> tuple[ModelInput, ...]:
    """The inputs that must be fed, in order.  Raises Malformed for anything that is no usable ONNX model."""
    header = _Header(Budget())
    for field_number, value in fields(content, header.budget):
        if field_number == 7:
            _main_graph(nested(value), header)
        header.versions += field_number in (1, 8)
    if not header.versions or not header.outputs:
        raise Malformed("it holds no ONNX graph with an output")
    _refuse_external(content, "model", header.budget, depth=0)
    return tuple(value for name, value in header.inputs.items() if name not in header.initialized)


def _main_graph(graph: memoryview, header: _Header) -> None:
    """Inputs, names of initializers, outputs; those of inner graphs are nobody's business."""
    for field_number, value in fields(graph, header.budget):
        if field_number in (11, 12, 13):
            declared = value_info(nested(value), header.budget)
            if field_number == 11:
                header.inputs[declared.name] = declared
            header.outputs += field_number == 12
        elif field_number == 5:
            header.initialized |= _names(nested(value), 8, header.budget)
        elif field_number == 15:
            for inner, tensor in fields(nested(value), header.budget):
                if inner == 1:
                    header.initialized |= _names(nested(tensor), 8, header.budget)


def _names(message: memoryview, field_number: int, budget: Budget) -> set[str]:
    return {text(value) for number_, value in fields(message, budget) if number_ == field_number}


def initializer(message: memoryview, budget: Budget) -> tuple[str, tuple[int, ...]]:
    """Name and shape of a constant."""
    name, sizes = "", list[int]()
    for field_number, value in fields(message, budget):
        if field_number == 1:
            sizes += integers(value, budget)
        elif field_number == 8:
            name = text(value)
    return name, tuple(sizes)


def value_info(message: memoryview, budget: Budget) -> ModelInput:
    """What is declared of an input, an output or what lies between."""
    name, dtype, shape = "", "unknown", None
    for field_number, value in fields(message, budget):
        if field_number == 1:
            name = text(value)
        elif field_number == 2:
            dtype, shape = _type(nested(value), budget, depth=0)
    check_size(name, shape, dtype)
    return ModelInput(name, shape, dtype)


def _type(message: memoryview, budget: Budget, *, depth: int) -> tuple[str, tuple[int | None, ...] | None]:
    """`float32`, `sequence(float32)`, `optional(sequence(float32))`, ... and the shape of the tensors in it."""
    for kind, value in fields(message, budget):
        if kind == 1:
            return _tensor_type(nested(value), budget)
        if kind in (4, 9) and depth < _DEEPEST_TYPE:
            for inner_kind, inner in fields(nested(value), budget):
                if inner_kind == 1:
                    dtype, shape = _type(nested(inner), budget, depth=depth + 1)
                    return f"{_CONTAINERS[kind]}({dtype})", shape
        if kind in _CONTAINERS:
            return f"{_CONTAINERS[kind]}()", None
    return "unknown", None


def _tensor_type(message: memoryview, budget: Budget) -> tuple[str, tuple[int | None, ...] | None]:
    dtype, shape = "unknown", None
    for field_number, value in fields(message, budget):
        if field_number == 1:
            dtype = _ELEMENT_TYPES.get(number(value), f"type {number(value)}")
        elif field_number == 2:
            dimensions = [inner for kind, inner in fields(nested(value), budget) if kind == 1]
            shape = tuple(_dimension(nested(dimension), budget) for dimension in dimensions)
    return dtype, shape


def _dimension(message: memoryview, budget: Budget) -> int | None:
    """The size of a dimension, which may be 0; None where the file leaves it open: by a name, by nothing, or by -1."""
    for field_number, value in fields(message, budget):
        if field_number == 1 and number(value) >= 0:
            return number(value)
    return None


def _refuse_external(message: memoryview, kind: str, budget: Budget, *, depth: int) -> None:
    """Look into every tensor that the model holds, wherever it is."""
    if depth > DEEPEST:
        raise Malformed(f"it nests messages more than {DEEPEST} deep")
    if kind == "tensor":
        _check_tensor(message, budget)
        return
    inside = _INSIDE[kind]
    for field_number, value in fields(message, budget):
        if field_number in inside:
            _refuse_external(nested(value), inside[field_number], budget, depth=depth + 1)


def _check_tensor(message: memoryview, budget: Budget) -> None:
    dimensions: list[int] = []
    name, dtype = "", "unknown"
    external = False
    for field_number, value in fields(message, budget):
        if field_number == 1:
            dimensions += integers(value, budget)
        elif field_number == 2:
            dtype = _ELEMENT_TYPES.get(number(value), "unknown")
        elif field_number == 8:
            name = text(value)
        external = external or field_number == 13 or (field_number == 14 and value != 0)
    if external:
        raise Malformed(
            f"its tensor {name!r} lies in another file (external data); save it as a single file, "
            "with onnx.save(onnx.load(PATH), NEW_PATH)"
        )
    if any(size < 0 for size in dimensions):
        raise Malformed(f"its tensor {name!r} has a negative size")
    check_size(name, tuple(dimensions), dtype)
