"""Predicting millions of architectures of an additive space: gathers from joint tables of several layers each."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lutfarm.lut.prediction.layer_latencies import LayerCosts
from lutfarm.statistics.samples.process import FloatArray

IntArray = NDArray[np.integer]

JOINT_LIMIT = 10_000  # values of a joint table: 80 kB, which the second cache holds
CHUNK = 4096  # architectures at a time: they stay in the second cache, too


class AdditiveBulk:
    """Latencies of architectures as rows of choice indices, shape (n, layers); the indices must be in range."""

    def __init__(self, costs: LayerCosts, intercept_ns: float = 0.0) -> None:
        """`intercept`, in the quantity's unit, comes on top of every network."""
        self._costs = costs
        groups = _groups(costs.counts)
        self._joint_ns = [_joint_ns(costs, layers) for layers in groups]
        self._joint_ns[0] = self._joint_ns[0] + (costs.fixed_ns + intercept_ns)
        # One product gives every group's index.  float32 is exact up to 2^24, far above JOINT_LIMIT.
        self._weights = np.zeros((len(costs.counts), len(groups)), dtype=np.float32)
        for column, layers in enumerate(groups):
            weight = 1
            for layer in reversed(layers):
                self._weights[layer, column] = weight
                weight *= costs.counts[layer]

    def estimates(self, archs: IntArray) -> FloatArray:
        """Shape (n,); NaN where a latency is missing."""
        sums = np.empty(len(archs))
        for part in chunks(len(archs)):
            indices = (archs[part].astype(np.float32) @ self._weights).astype(np.intp)
            total = self._joint_ns[0].take(indices[:, 0])
            for column, joint_ns in enumerate(self._joint_ns[1:], start=1):
                total += joint_ns.take(indices[:, column])
            sums[part] = total
        return sums

    def intervals_ns(self, archs: IntArray) -> FloatArray:
        """Shape (n, 3): estimate, low, high.  The interval is that of `predict_network.bounds`."""
        costs = self._costs
        intervals = np.empty((len(archs), 3))
        intervals[:, 0] = self.estimates(archs)
        own, common = 1 - costs.common, np.sqrt(costs.common)
        columns = np.stack([common * costs.below, common * costs.above], axis=1)
        squares = np.stack([own * costs.below**2, own * costs.above**2], axis=1)
        for part in chunks(len(archs)):
            counts = costs.counted(archs[part])
            halves = np.sqrt(np.square(counts) @ squares + np.square(counts @ columns))
            intervals[part, 1] = np.maximum(intervals[part, 0] - halves[:, 0], 0.0)
            intervals[part, 2] = intervals[part, 0] + halves[:, 1]
        return intervals


def chunks(count: int) -> Iterator[slice]:
    """CHUNK rows at a time."""
    return (slice(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK))


def _groups(counts: tuple[int, ...]) -> list[list[int]]:
    """Neighbouring layers together, as long as their combinations are at most JOINT_LIMIT."""
    groups: list[list[int]] = [[]]
    for layer, count in enumerate(counts):
        if groups[-1] and math.prod(counts[i] for i in groups[-1]) * count > JOINT_LIMIT:
            groups.append([])
        groups[-1].append(layer)
    return groups


def _joint_ns(costs: LayerCosts, layers: list[int]) -> FloatArray:
    """The sum for every combination of the layers' choices, the last layer's index running fastest."""
    total = np.zeros(1)
    for layer in layers:
        first = int(costs.first[layer])
        total = np.add.outer(total, costs.choices_ns[first : first + costs.counts[layer]]).ravel()
    return total
