"""Whether a series of process-level estimates stepped up or down once.  Pure.

The rank test of A. N. Pettitt, "A non-parametric approach to the change-point problem", Applied Statistics 28 (1979) 126-135.
Its approximate significance is off for fewer than twenty values, so that is counted over seeded permutations instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import median

import numpy as np

from lutfarm.statistics.samples.process import FloatArray

PERMUTATIONS = 20_000  # the standard error of a p-value of 0.02 is 0.001
SEED = 1979


@dataclass(frozen=True, slots=True)
class Change:
    """The likeliest step: before which value it came, the ratio of the medians after and before, how likely by chance."""

    position: int
    ratio: float
    p_value: float


def change_point(estimates_ns: Sequence[float]) -> Change | None:
    """The likeliest step in a series, each value above zero; None below four values."""
    count = len(estimates_ns)
    if count < 4:
        return None
    values = np.asarray(estimates_ns, dtype=np.float64)
    statistics = _statistics(_ranks(values)[None, :])[0]
    position = int(np.argmax(statistics)) + 1
    null = _null(count)
    p_value = float((1 + (null >= statistics[position - 1] - 1e-9).sum()) / (1 + len(null)))
    return Change(position, median(values[position:].tolist()) / median(values[:position].tolist()), p_value)


def _ranks(values: FloatArray) -> FloatArray:
    """Ranks from 1, the mean of them where values are equal."""
    ascending = np.sort(values)
    low, high = np.searchsorted(ascending, values, side="left"), np.searchsorted(ascending, values, side="right")
    return np.asarray((low + high + 1) / 2, dtype=np.float64)


def _statistics(ranks: FloatArray) -> FloatArray:
    """Pettitt's |U| before each step, shape (series, n - 1): |2 * sum of the first t ranks - t (n + 1)|."""
    count = int(ranks.shape[1])
    steps: FloatArray = np.arange(1, count, dtype=np.float64)
    return np.abs(2 * np.cumsum(ranks, axis=1)[:, :-1] - steps * (count + 1))


@lru_cache(maxsize=64)
def _null(count: int) -> FloatArray:
    """The largest |U| of shuffled series of so many values, shape (PERMUTATIONS,)."""
    rng = np.random.default_rng([SEED, count])
    shuffled = np.asarray(np.argsort(rng.random((PERMUTATIONS, count)), axis=1) + 1.0, dtype=np.float64)
    return _statistics(shuffled).max(axis=1)
