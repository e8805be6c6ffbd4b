"""Bounds on the slow iterations: distribution-free intervals for p90 and p99 from order statistics.  Pure.

An interval from one order statistic to another holds a quantile with a probability that is binomial, whatever the
distribution (H. A. David and H. N. Nagaraja, Order Statistics, 3rd edition, Wiley 2003, section 7.1), provided that the
iterations are independent.  They are not: a series is thinned to as many as it is worth, and the shift that a whole process
has is taken out of its iterations and comes back as the uncertainty of the mean process.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lutfarm.statistics.intervals.interval import Interval
from lutfarm.statistics.intervals.quantiles import binomial_below
from lutfarm.statistics.samples.correlation import effective_size
from lutfarm.statistics.samples.process import FloatArray


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between which two iterations a quantile lies, in ns."""

    low: float
    high: float


def least_count(share: float, confidence: float) -> int:
    """How many independent iterations bounds for the quantile `share` need: with fewer it may lie beyond the largest.

    Each side may fail with (1 - confidence) / 2; that all of n lie below the quantile has probability share^n
    (S. S. Wilks, "Statistical prediction with special reference to the problem of tolerance limits", Ann. Math. Statist.
    13 (1942) 400-409).  For 97.5 %: 42 for p90, 437 for p99.
    """
    high = max(share, 1 - share)
    return math.ceil(math.log((1 - confidence) / 2) / math.log(high))


def tail_bounds(
    series_ns: Sequence[FloatArray], estimates_ns: Sequence[float], interval: Interval, share: float, *, confidence: float = 0.95
) -> Bounds | None:
    """Bounds for a quantile of an iteration, in whichever process; None where there are fewer than `least_count` to go by.

    `series_ns` and `estimates_ns`: the iterations of each process and its estimate; `interval`: of the estimate over processes.
    A quantile is a multiple of the process's estimate: the bounds of that, at a confidence of (1 + c) / 2, times the estimate's.
    """
    inside = (1 + confidence) / 2
    both = zip(series_ns, estimates_ns, strict=True)
    parts = [_thinned(values) / estimate * interval.estimate for values, estimate in both if len(values)]
    independent = np.concatenate([np.empty(0), *parts])
    if len(independent) < least_count(share, inside):
        return None
    ascending = np.sort(independent)
    below = binomial_below(len(ascending), share)  # [r]: how likely fewer than r iterations lie below the quantile
    tail = (1 - inside) / 2
    low = int(np.searchsorted(below, tail, side="right")) - 1
    high = int(np.searchsorted(below, 1 - tail, side="left"))
    if low < 1 or high > len(ascending):
        return None
    down, up = interval.low / interval.estimate, interval.high / interval.estimate
    return Bounds(float(ascending[low - 1]) * down, float(ascending[high - 1]) * up)


def _thinned(values: FloatArray) -> FloatArray:
    """Every n-th iteration, n so that as many are left as the series is worth."""
    return values[:: math.ceil(len(values) / effective_size(values))]
