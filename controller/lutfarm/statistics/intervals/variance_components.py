"""Where the scatter of a measurement comes from: within slices, between slices, between processes, between sittings.  Pure.

The nested random model, log-latency = mean + sitting + process + slice + iteration, by equating the sums of squares of an
unbalanced layout to what they are expected to be (C. R. Henderson, "Estimation of variance and covariance components",
Biometrics 9 (1953) 226-252, method 1; S. R. Searle, G. Casella and C. E. McCulloch, Variance Components, Wiley 1992, chapter 5).
Iterations of a slice are correlated, so what is their own shows up between slices, too: the parts describe, they prove nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lutfarm.statistics.samples.process import FloatArray


@dataclass(frozen=True, slots=True)
class Components:
    """Standard deviations of logarithms, so 0.05 is about 5 %; None where there are too few groups to tell.

    0.0 where the layer above explains all of it: an estimate below zero is one of zero.
    """

    within_slices: float | None
    between_slices: float | None
    between_processes: float | None
    between_sittings: float | None


def components(series_ns: Sequence[FloatArray], processes: Sequence[int], sittings: Sequence[int]) -> Components:
    """From the iterations of each slice in ns, and which process and which sitting each slice is of.

    `sittings` number sittings, so that slices of one process have the same.  Slices without iterations say nothing.
    """
    filled = [index for index, values in enumerate(series_ns) if len(values)]
    if not filled:
        return Components(None, None, None, None)
    sizes = [len(series_ns[index]) for index in filled]
    logs = np.log(np.concatenate([series_ns[index] for index in filled]))

    def labels(of: Sequence[int]) -> NDArray[np.intp]:
        return np.repeat(np.unique([of[index] for index in filled], return_inverse=True)[1], sizes)

    layers = [
        np.zeros(len(logs), dtype=np.intp),
        labels(sittings),
        labels(processes),
        np.repeat(np.arange(len(filled)), sizes),
        np.arange(len(logs)),
    ]
    variances = _nested(logs, layers)
    sitting, process, piece, iteration = (None if value is None else math.sqrt(max(0.0, value)) for value in variances)
    return Components(iteration, piece, process, sitting)


def _nested(values: FloatArray, layers: Sequence[NDArray[np.intp]]) -> list[float | None]:
    """The variance of each layer but the first, outermost first; each layer's groups lie inside those of the one before.

    With T(k) = sum over groups of layer k of n * mean^2, E[T(k) - T(k-1)] is a sum of variances of layer k and those inside it,
    so the system is triangular and is solved from the inside.
    """
    depth = len(layers)
    counts = [np.bincount(layer) for layer in layers]
    centred = values - values.mean()
    totals = [float((np.bincount(layer, centred) ** 2 / count).sum()) for layer, count in zip(layers, counts, strict=True)]
    weight = np.zeros((depth, depth))  # of the variance of layer j in E[T(k)]
    for k in range(depth):
        for j in range(1, depth):
            weight[k, j] = len(values) if j <= k else _weight(layers[k], counts[k], layers[j], counts[j])
    variances: list[float | None] = [None] * depth
    for k in range(depth - 1, 0, -1):
        own = weight[k, k] - weight[k - 1, k]
        if len(counts[k]) > len(counts[k - 1]) and own > 0:
            inside = sum((weight[k, j] - weight[k - 1, j]) * max(0.0, variances[j] or 0.0) for j in range(k + 1, depth))
            variances[k] = (totals[k] - totals[k - 1] - inside) / own
    return variances[1:]


def _weight(
    outer: NDArray[np.intp], outer_counts: NDArray[np.intp], inner: NDArray[np.intp], inner_counts: NDArray[np.intp]
) -> float:
    """Sum over outer groups of (sum over the inner groups in it of n^2) / n."""
    first = np.unique(inner, return_index=True)[1]
    squares = np.bincount(outer[first], inner_counts.astype(np.float64) ** 2, minlength=len(outer_counts))
    return float((squares / outer_counts).sum())
