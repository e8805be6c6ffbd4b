"""Input data and comparisons with numpy, which every real runtime brings along."""
# numpy is no dependency of the runner's host side check
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from typing import Any, List, Optional, Sequence

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


def make_input(workload: Workload, random: Any, shape: Sequence[int], dtype: Any) -> Any:
    """Normal numbers for floating inputs, zeros for all others."""
    kind = np.dtype(dtype)
    if math.prod(shape) > LARGEST_INPUT:
        raise Failed("OutOfMemory", f"an input of shape {list(shape)} has more than {LARGEST_INPUT} elements")
    if kind.kind not in "fiub":
        raise Failed("WorkloadFailed", f"inputs of type {kind} can't be made up")
    if kind.kind != "f":
        return np.zeros(shape, kind)
    if workload.input_layout == "nhwc" and len(shape) == 4:
        batch, height, width, channels = shape
        values = random.standard_normal((batch, channels, height, width)).astype(np.float32)
        return np.ascontiguousarray(values.transpose(0, 2, 3, 1)).astype(kind, copy=False)
    return np.asarray(random.standard_normal(tuple(shape)), np.float32).astype(kind, copy=False)


def generator(workload: Workload) -> Any:
    """The source of one workload's inputs, in the order of the model's inputs."""
    return np.random.RandomState(workload.seed)


def flat(value: Any) -> Optional[Any]:
    """A copy of a numeric tensor as one row of float64; None for anything else."""
    array = np.asarray(value)
    return array.astype(np.float64).ravel() if array.dtype.kind in "fiub" else None


class Comparing:
    """The comparisons of a backend whose outputs are numpy arrays."""

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
