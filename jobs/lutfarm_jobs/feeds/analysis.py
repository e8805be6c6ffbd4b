"""What a model file does with its inputs: which decide what runs, what each is for, whether anything is computed at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lutfarm_jobs.feeds import onnx_graph, tflite_graph
from lutfarm_jobs.feeds.flow import Flat, Step, first_uses, reach, readers_of
from lutfarm_jobs.feeds.onnx_deciding import MOVING
from lutfarm_jobs.feeds.tflite_deciding import MOVING as MOVING_TFLITE
from lutfarm_jobs.models.bounds import Malformed
from lutfarm_jobs.models.files import mapped, opened
from lutfarm_jobs.models.info import ModelInfo, ModelInput
from lutfarm_jobs.runtimes import ModelFormat

ATTRIBUTE, EVERY, MADE = "attribute", "every", -1
# By kind and the position of the indices: that of what they point into (MADE: the first output), and along which axis of it.
TABLES: Mapping[tuple[str, int], tuple[int, int | str]] = {
    ("Gather", 1): (0, ATTRIBUTE),
    ("GATHER", 1): (0, ATTRIBUTE),
    ("EMBEDDING_LOOKUP", 0): (1, 0),
    ("GatherElements", 1): (0, ATTRIBUTE),
    ("ScatterElements", 1): (0, ATTRIBUTE),
    ("Scatter", 1): (0, ATTRIBUTE),
    ("GatherND", 1): (0, EVERY),
    ("ScatterND", 1): (0, EVERY),
    ("GATHER_ND", 1): (0, EVERY),
    ("SCATTER_ND", 0): (MADE, EVERY),
    ("GatherBlockQuantized", 1): (0, ATTRIBUTE),
    ("ArrayFeatureExtractor", 1): (0, -1),
    ("RoiAlign", 2): (0, 0),
    ("EmbedLayerNormalization", 0): (2, 0),
    ("EmbedLayerNormalization", 1): (4, 0),
    ("RotaryEmbedding", 3): (1, 0),
    ("RotaryEmbedding", 1): (2, 0),  # ONNX's own, com.microsoft's
    ("NegativeLogLikelihoodLoss", 1): (0, 1),
    ("SoftmaxCrossEntropyLoss", 1): (0, 1),
}
LENGTHS: Mapping[str, tuple[int, int]] = {  # by kind: the position of the lengths, that of the sequence
    "LSTM": (4, 0),
    "GRU": (4, 0),
    "RNN": (4, 0),
    "ReverseSequence": (1, 0),
    "DynamicQuantizeLSTM": (4, 0),
}

Size = int | tuple[str, int]
UNKNOWN = "a graph that can't be followed"


@dataclass(frozen=True, slots=True)
class Role:
    """One thing that an input is used for: as the n-th input of a kind of node.

    `rows`: how many there are of what it picks from; of several axes all.  `length`: of the sequence that it says the length
    of.  Either is a size, or the name and the axis of the input that has it.
    """

    kind: str
    position: int
    rows: tuple[Size, ...] = ()
    length: Size | None = None


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
    reached = reach(flat, shapes_vary=any(declared.is_dynamic for declared in inputs))
    names = [declared.name for declared in inputs]
    decided = {names[position]: kinds for position, kinds in reached.decided.items()}
    # How many there are of a sequence, and whether there is an optional, is made up as much as what they hold.
    decided |= {one.name: (*decided.get(one.name, ()), one.dtype) for one in inputs if one.is_container}
    readers = readers_of(flat)
    roles = {
        name: tuple(dict.fromkeys(_roles(flat, readers, tensor, names))) for name, tensor in zip(names, flat.inputs, strict=True)
    }
    return Analysis(decided, roles, reached.computes)


def _roles(flat: Flat, readers: Mapping[int, Sequence[int]], tensor: int, names: Sequence[str]) -> Iterator[Role]:
    for step, position in first_uses(flat, readers, tensor, MOVING | MOVING_TFLITE):
        rows: tuple[Size, ...] = ()
        length = None
        if (step.kind, position) in TABLES:
            rows = _rows(flat, step, *TABLES[step.kind, position], names)
        if step.kind in LENGTHS and position == LENGTHS[step.kind][0]:
            length = _length(flat, step, LENGTHS[step.kind][1], names)
        yield Role(step.kind, position, rows, length)


def _rows(flat: Flat, step: Step, position: int, along: int | str, names: Sequence[str]) -> tuple[Size, ...]:
    """The sizes that bound an index; none where one of them is not known."""
    ends = step.outputs[:1] if position == MADE else step.inputs[position : position + 1]
    if not ends or ends[0] < 0:
        return ()
    rank = len(flat.shapes.get(ends[0], ()))
    axes = range(rank) if along == EVERY else [step.axis if isinstance(along, str) else along]
    sizes = [_size(flat, ends[0], axis, names) for axis in axes]
    return tuple(size for size in sizes if size is not None) if None not in sizes else ()


def _size(flat: Flat, tensor: int, axis: int, names: Sequence[str]) -> Size | None:
    """Of one dimension of a tensor: as the file says it, or where to look for it once all inputs have their shapes."""
    shape = flat.shapes.get(tensor, ())
    known = shape[axis] if -len(shape) <= axis < len(shape) else None
    if known is None and tensor in flat.inputs:
        return names[flat.inputs.index(tensor)], axis
    return known


def _length(flat: Flat, step: Step, position: int, names: Sequence[str]) -> Size | None:
    """How long the sequence is; of onnx's layouts 0 has time first, 1 the batch."""
    return _size(flat, step.inputs[position], step.layout, names)
