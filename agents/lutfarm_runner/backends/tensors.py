"""Input data and comparisons with numpy, which every real runtime brings along."""
# numpy is no dependency of the runner's host side check
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from lutfarm_runner.backends import Failed
from lutfarm_runner.commands import Shape, Workload

LARGEST_INPUT = 1 << 32                            # elements; refused before numpy tries


def concrete_shape(name: str, own: Sequence[Any], given: Sequence[Shape], position: int) -> List[int]:
    """An input's shape: as given by name (or position, where names are empty), else the model's own."""
    for index, shape in enumerate(given):
        if shape.name == name or (not shape.name and index == position):
            return list(shape.shape)
    if all(isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in own):
        return [int(size) for size in own]
    raise Failed(
        "WorkloadFailed",
        f"input {name!r} has the dynamic shape {list(own)}; fix it in the job under `inputs`",
    )


def check_names(names: Sequence[str], given: Sequence[Shape]) -> None:
    """Every given shape has to mean an input of the model."""
    for shape in given:
        if shape.name and shape.name not in names:
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
        return self._drawn[first:first + count].copy()


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

    def make(self, shape: Sequence[int], dtype: Any) -> Any:
        """Normal numbers for a floating input, zeros for any other."""
        kind = _checked(shape, dtype)
        if kind.kind != "f":
            return np.zeros(shape, kind)
        count = math.prod(shape)
        values = self._stream.take(self._first, count)
        self._first += count
        if self._nhwc and len(shape) == 4:
            batch, height, width, channels = shape
            values = np.ascontiguousarray(values.reshape(batch, channels, height, width).transpose(0, 2, 3, 1))
        return values.reshape(tuple(shape)).astype(kind, copy=False)


def _checked(shape: Sequence[int], dtype: Any) -> Any:
    kind = np.dtype(dtype)
    if math.prod(shape) > LARGEST_INPUT:
        raise Failed("OutOfMemory", f"an input of shape {list(shape)} has more than {LARGEST_INPUT} elements")
    if kind.kind not in "fiub":
        raise Failed("WorkloadFailed", f"inputs of type {kind} can't be made up")
    return kind


def flat(value: Any) -> Optional[Any]:
    """A copy of a numeric tensor as one row of float64; None for anything else."""
    array = np.asarray(value)
    return array.astype(np.float64).ravel() if array.dtype.kind in "fiub" else None


class NumpyBackend:
    """What backends have in common whose inputs and outputs are numpy arrays."""

    def draw_ahead(self, seed: int) -> None:
        """See Backend.draw_ahead."""
        draw_ahead(seed)

    def difference(self, one: Any, other: Any) -> float:
        """See Backend.difference; equal infinities do not differ."""
        if one.shape != other.shape:
            return float("inf")
        if not one.size:
            return 0.0
        with np.errstate(invalid="ignore"):
            return float(np.where(one == other, 0.0, np.abs(one - other)).max())

    def largest(self, one: Any) -> float:
        """See Backend.largest."""
        return float(np.abs(one).max()) if one.size else 0.0
