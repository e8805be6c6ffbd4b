"""What a model file does with its inputs: which decide what runs, what each is for, whether anything is computed at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lutfarm_jobs.feeds import onnx_graph, tflite_graph
from lutfarm_jobs.feeds.flow import Flat, Step, first_uses, reach, readers_of
from lutfarm_jobs.feeds.onnx_deciding import MOVING
from lutfarm_jobs.feeds.tflite_deciding import MOVING as MOVING_TFLITE
from lutfarm_jobs.measurement import ModelFormat
from lutfarm_jobs.models.bounds import Malformed
from lutfarm_jobs.models.files import mapped, opened
from lutfarm_jobs.models.info import ModelInfo, ModelInput

TABLES: Mapping[str, tuple[int, int]] = {          # by kind: the place of the ids, that of the table
    "Gather": (1, 0), "GATHER": (1, 0), "EMBEDDING_LOOKUP": (0, 1), "EmbedLayerNormalization": (0, 2),
}
LENGTHS: Mapping[str, tuple[int, int]] = {         # by kind: the place of the lengths, that of the sequence
    "LSTM": (4, 0), "GRU": (4, 0), "RNN": (4, 0), "ReverseSequence": (1, 0), "DynamicQuantizeLSTM": (4, 0),
}

UNKNOWN = "a graph that can't be followed"


@dataclass(frozen=True, slots=True)
class Role:
    """One thing that an input is used for: as the n-th input of a kind of node.

    `rows`: of the table that it picks from.  `length`: of the sequence that it says the length of, or the name and the axis of
    the input that has it.
    """

    kind: str
    place: int
    rows: int | None = None
    length: int | tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Analysis:
    """By input name; `decided` holds the kinds of nodes that an input's values decide."""

    decided: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    roles: Mapping[str, tuple[Role, ...]] = field(default_factory=dict[str, tuple[Role, ...]])
    computes: bool = True


def analysed(info: ModelInfo) -> Analysis:
    """Read from the file."""
    with opened(info.path) as file:
        return analysis_of(mapped(file), info.format, info.inputs)


def analysis_of(content: memoryview, fmt: ModelFormat, inputs: Sequence[ModelInput]) -> Analysis:
    """Where a model is too large or too deep to be followed, every input may decide what runs."""
    try:
        return _of((onnx_graph if fmt == "onnx" else tflite_graph).flatten(content, inputs), inputs)
    except Malformed:
        return Analysis({declared.name: (UNKNOWN,) for declared in inputs})


def _of(flat: Flat, inputs: Sequence[ModelInput]) -> Analysis:
    found = reach(flat, shapes_vary=any(declared.is_dynamic for declared in inputs))
    names = [declared.name for declared in inputs]
    decided = {names[place]: kinds for place, kinds in found.decided.items()}
    # How many there are of a sequence, and whether there is an optional, is made up as much as what they hold.
    decided |= {one.name: (*decided.get(one.name, ()), one.dtype) for one in inputs if one.is_container}
    readers = readers_of(flat)
    roles = {
        name: tuple(dict.fromkeys(_roles(flat, readers, tensor, names)))
        for name, tensor in zip(names, flat.inputs, strict=True)
    }
    return Analysis(decided, roles, found.computes)


def _roles(flat: Flat, readers: Mapping[int, Sequence[int]], tensor: int, names: Sequence[str]) -> Iterator[Role]:
    for step, place in first_uses(flat, readers, tensor, MOVING | MOVING_TFLITE):
        rows = length = None
        if step.kind in TABLES and place == TABLES[step.kind][0]:
            rows = _size(flat, step, TABLES[step.kind][1], step.axis)
        if step.kind in LENGTHS and place == LENGTHS[step.kind][0]:
            length = _length(flat, step, LENGTHS[step.kind][1], names)
        yield Role(step.kind, place, rows, length)


def _size(flat: Flat, step: Step, place: int, axis: int) -> int | None:
    """Of one dimension of a step's input, where the file says it."""
    shape = flat.shapes.get(step.inputs[place], ()) if place < len(step.inputs) else ()
    return shape[axis] if -len(shape) <= axis < len(shape) else None


def _length(flat: Flat, step: Step, place: int, names: Sequence[str]) -> int | tuple[str, int] | None:
    """How long the sequence is; of onnx's layouts 0 has time first, 1 the batch."""
    axis = step.layout
    known = _size(flat, step, place, axis)
    tensor = step.inputs[place]
    if known is None and tensor in flat.inputs:
        return names[flat.inputs.index(tensor)], axis
    return known
