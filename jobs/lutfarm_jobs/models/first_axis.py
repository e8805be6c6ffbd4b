"""Whether the first axis of some input is known to be no batch: time, or something that a new first axis is put before."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lutfarm_jobs.models.bounds import Budget
from lutfarm_jobs.models.onnx.protobuf import fields, integers, nested, number, text
from lutfarm_jobs.models.tflite.reader import Table

_CELLS = frozenset({"LSTM", "GRU", "RNN"})
_MOST_AXES = 32
# By TensorFlow Lite's code of the operator: where its options say that time comes first, and what holds where they don't.
_TIME_MAJOR: Mapping[int, tuple[int, bool]] = {35: (0, False), 46: (0, False), 44: (3, False), 52: (4, True)}


@dataclass(slots=True)
class _Node:
    kind: str = ""
    inputs: list[str] = field(default_factory=list[str])
    outputs: list[str] = field(default_factory=list[str])
    numbers: dict[str, int] = field(default_factory=dict[str, int])
    lists: dict[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])


def no_batch_in_onnx(graph: memoryview, budget: Budget) -> bool:
    """Of a main graph.  Raises Malformed."""
    arrived: set[str] = set()  # inputs, and what is the same as one of them
    constants: dict[str, tuple[int, ...]] = {}
    nodes: list[_Node] = []
    for at, value in fields(graph, budget):
        if at == 1:
            nodes.append(_node(nested(value), budget))
        elif at == 5:
            name, numbers = _whole_numbers(nested(value), budget)
            constants[name] = numbers
        elif at == 11:
            arrived |= {text(inner) for slot, inner in fields(nested(value), budget) if slot == 1}
    for node in nodes:
        if node.kind == "Constant":
            constants |= {name: node.lists.get("value", node.lists.get("value_ints", ())) for name in node.outputs}
        elif node.kind == "Identity" and arrived.issuperset(node.inputs):
            arrived |= set(node.outputs)
    return any(_first_is_no_batch(node, constants) for node in nodes if node.inputs and node.inputs[0] in arrived)


def _first_is_no_batch(node: _Node, constants: Mapping[str, Sequence[int]]) -> bool:
    """Of what a node takes first."""
    if node.kind in _CELLS:
        return node.numbers.get("layout", 0) == 0
    if node.kind == "ReverseSequence":
        return node.numbers.get("batch_axis", 1) != 0
    if node.kind == "Unsqueeze":
        return 0 in node.lists.get("axes", constants.get(node.inputs[1], ()) if len(node.inputs) > 1 else ())
    return False


def _node(message: memoryview, budget: Budget) -> _Node:
    node = _Node()
    for at, value in fields(message, budget):
        if at == 1:
            node.inputs.append(text(value))
        elif at == 2:
            node.outputs.append(text(value))
        elif at == 4:
            node.kind = text(value)
        elif at == 5:
            _attribute(nested(value), node, budget)
    return node


def _attribute(message: memoryview, node: _Node, budget: Budget) -> None:
    name, numbers = "", list[int]()
    for at, value in fields(message, budget):
        if at == 1:
            name = text(value)
        elif at == 3:
            node.numbers[name] = number(value)
        elif at == 5:
            numbers += _whole_numbers(nested(value), budget)[1]
        elif at == 8:
            numbers += _first(integers(value, budget))
    if numbers:
        node.lists[name] = tuple(numbers)


def _whole_numbers(message: memoryview, budget: Budget) -> tuple[str, tuple[int, ...]]:
    """Name and first elements of a tensor of int64; none of any other."""
    name, kind, firsts, raw = "", 0, list[int](), memoryview(b"")
    for at, value in fields(message, budget):
        if at == 2:
            kind = number(value)
        elif at == 7:
            firsts += _first(integers(value, budget))
        elif at == 8:
            name = text(value)
        elif at == 9:
            raw = nested(value)
    count = min(len(raw) // 8, _MOST_AXES)
    numbers = (*firsts, *struct.unpack_from(f"<{count}q", raw)) if count else tuple(firsts)
    return name, numbers if kind == 7 else ()


def _first(numbers: Iterator[int]) -> list[int]:
    return [number_ for _, number_ in zip(range(_MOST_AXES), numbers, strict=False)]


def no_batch_in_tflite(graph: Table, codes: Sequence[int]) -> bool:
    """Of the first graph of a file that `read_tflite` has passed."""
    inputs = set(graph.integers(1, "<i"))
    for operator in graph.tables(3):
        known = _TIME_MAJOR.get(codes[operator.integer(0, "<I")])
        if known is not None and inputs.intersection(operator.integers(1, "<i")[:1]):
            slot, unsaid = known
            options = operator.table(4)
            if unsaid if options is None else options.integer(slot, "<b", unsaid):
                return True
    return False
