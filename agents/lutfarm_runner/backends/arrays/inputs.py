"""Input data with numpy, which every real runtime brings along: made as the host says, or else normal numbers and zeros."""
# numpy is no dependency of the runner's host side check
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from lutfarm_runner.commands import Fill, Shape, Workload
from lutfarm_runner.workload_failure import Failed

LARGEST_INPUT = 1 << 32  # elements; refused before numpy tries


def concrete_shape(name: str, own: Sequence[Any], given: Sequence[Shape]) -> List[int]:
    """An input's shape: as given by name (see commands.called), else the model's own."""
    for shape in given:
        if shape.name == name:
            return list(shape.shape)
    if all(isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in own):
        return [int(size) for size in own]
    raise Failed("WorkloadFailed", f"input {name!r} has the dynamic shape {list(own)}; fix it in the job under `inputs`")


def check_names(names: Sequence[str], given: Sequence[Shape]) -> None:
    """Every given shape has to mean an input of the model."""
    known = set(names)
    for shape in given:
        if shape.name not in known:
            raise Failed("WorkloadFailed", f"the model has no input {shape.name!r}, but {', '.join(names)}")


class Stream:
    """The normal numbers of one seed as float32, drawn once: what one workload begins with, every other does too.

    RandomState draws 50,000 a millisecond, which is more than loading a small operator takes.
    """

    def __init__(self, seed: int) -> None:
        self._random = np.random.RandomState(seed)
        self._drawn = np.empty(0, np.float32)

    def take(self, first: int, count: int) -> Any:
        """A copy of so many numbers from position `first` on."""
        missing = first + count - self._drawn.size
        if missing > 0:
            more = self._random.standard_normal(missing).astype(np.float32)
            self._drawn = np.concatenate([self._drawn, more])
        return self._drawn[first : first + count].copy()


_streams: Dict[int, Stream] = {}


def draw_ahead(seed: int, count: int = 1 << 18) -> None:
    """Have a template's children inherit the numbers that most of them need."""
    _streams.setdefault(seed, Stream(seed)).take(0, count)


class Inputs:
    """Makes up the inputs of one workload, in the order of the model's inputs."""

    def __init__(self, workload: Workload) -> None:
        self._stream = _streams.setdefault(workload.seed, Stream(workload.seed))
        self._nhwc = workload.input_layout == "nhwc"
        self._first = 0
        self._random = np.random.RandomState(workload.seed)

    def make(self, shape: Sequence[int], dtype: Any, fill: Optional[Fill] = None) -> Any:
        """As `fill` says; without one, normal numbers for a floating input, zeros for any other."""
        kind = _checked(shape, dtype)
        if fill is not None and fill.kind != "normal":
            return filled(self._random, tuple(shape), kind, fill)
        if kind.kind != "f":
            return np.zeros(shape, kind)
        count = math.prod(shape)
        values = self._stream.take(self._first, count)
        self._first += count
        if self._nhwc and len(shape) == 4:
            batch, height, width, channels = shape
            values = np.ascontiguousarray(values.reshape(batch, channels, height, width).transpose(0, 2, 3, 1))
        return values.reshape(tuple(shape)).astype(kind, copy=False)


def fill_of(workload: Workload, name: str) -> Optional[Fill]:
    """What a workload says of an input, by its name (see commands.called)."""
    return next((fill for fill in workload.fills if fill.name == name), None)


def filled(random: Any, shape: Tuple[int, ...], kind: Any, fill: Fill) -> Any:
    """An array by any fill but `normal`, which has its own stream, and `file`."""
    if fill.kind == "constant":
        return np.full(shape, fill.numbers[0], kind)
    if fill.kind == "values":
        return np.array(fill.numbers, kind).reshape(shape)
    low, high = fill.numbers
    if fill.kind == "count":
        along = np.arange(shape[-1] if shape else 1)
        along = along % int(high) if high else along
        return np.broadcast_to((low + along).astype(kind), shape or (1,)).reshape(shape).copy()
    if kind.kind == "f":
        return random.uniform(low, high, shape).astype(kind)
    whole = np.uint64 if kind.kind == "u" else np.int64
    return random.randint(int(low), int(high) + 1, shape, whole).astype(kind)


def _checked(shape: Sequence[int], dtype: Any) -> Any:
    kind = np.dtype(dtype)
    if math.prod(shape) > LARGEST_INPUT:
        raise Failed("OutOfMemory", f"an input of shape {list(shape)} has more than {LARGEST_INPUT} elements")
    if kind.kind not in "fiub":
        raise Failed("WorkloadFailed", f"inputs of type {kind} can't be made up")
    return kind
