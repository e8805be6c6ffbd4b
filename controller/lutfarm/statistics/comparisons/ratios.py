"""Two latencies against each other: their ratio with its interval, what differs beyond noise, whose order is reversed.  Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lutfarm.statistics.comparisons.devices import DeviceEstimate
from lutfarm.statistics.intervals.distributions import false_discoveries, student_beyond
from lutfarm.statistics.intervals.interval import PRIOR_DF
from lutfarm.statistics.intervals.quantiles import student_quantile
from lutfarm.statistics.samples.process import FloatArray

IntArray = NDArray[np.intp]

SMALLEST_ERROR = 1e-6  # of a logarithm: equal ends of an interval must not divide by zero
FALSE_DISCOVERIES = 0.05  # of what is said to differ, at most so many do not, on average


@dataclass(frozen=True, slots=True)
class Ratio:
    """B over A with its interval; `p_value` of their being equal, for one pair alone."""

    ratio: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Reversed:
    """Two positions of which A has the one first and B the other, both beyond noise; `size`: the smaller log distance."""

    first: int
    second: int
    size: float


@dataclass(frozen=True, slots=True)
class Orders:
    """Of `pairs` pairs, `reversed` have another order in B; of these `flips` beyond noise, the largest first."""

    pairs: int
    reversed: int
    flips: tuple[Reversed, ...]


def device_estimate(estimate: float, low: float, high: float, *, confidence: float, rounds: int) -> DeviceEstimate:
    """An estimate as what its interval says: Student's t in log over its rounds, see statistics.interval.

    Where the interval reaches zero the upper end alone says how wide it is.  The degrees of freedom are those with a full prior.
    Where an entry had none, the error is taken for too large, by 17 % at 5 rounds, so intervals are too wide, not too narrow.
    """
    half = max(math.log(high / estimate), math.log(estimate / low) if low > 0 else 0.0)
    df = PRIOR_DF + max(rounds, 1) - 1
    return DeviceEstimate(estimate, half / student_quantile(df, 0.5 + confidence / 2), df)


def ratio_of(a: DeviceEstimate, b: DeviceEstimate, *, confidence: float = 0.95, beside: float = 0.0) -> Ratio:
    """B / A, from independent estimates: B. L. Welch, Biometrika 34 (1947) 28-35, in logarithms.

    `beside`: the log ratio that is tested against, 0 for equal latencies.
    """
    middle = math.log(b.estimate) - math.log(a.estimate)
    of_a, of_b = _Side.of([a]), _Side.of([b])
    errors, dfs = _together(of_a.variances, of_a.df, of_b.variances, of_b.df)
    error = float(errors[0])
    half = student_quantile(float(dfs[0]), 0.5 + confidence / 2) * error
    p_value = float(student_beyond(dfs, (middle - beside) / errors)[0])
    return Ratio(math.exp(middle), math.exp(middle - half), math.exp(middle + half), p_value)


def differ(p_values: Sequence[float], *, at: float = FALSE_DISCOVERIES) -> list[bool]:
    """Which of several comparisons differ, by Benjamini and Hochberg (J. R. Statist. Soc. B 57 (1995) 289-300)."""
    return [bool(value <= at) for value in false_discoveries(np.array(p_values))] if p_values else []


def orders(a: Sequence[DeviceEstimate], b: Sequence[DeviceEstimate], *, at: float = FALSE_DISCOVERIES) -> Orders:
    """How the orders of the same n things differ between two tables.

    An order is reversed beyond noise where both tables are sure of theirs: the p-value of a pair is the larger of the two
    (R. L. Berger, Technometrics 24 (1982) 295-300), corrected for all n (n - 1) / 2 pairs as `differ` does.
    """
    sides = (_Side.of(a), _Side.of(b))
    count = len(a)
    pairs = count * (count - 1) // 2
    firsts: list[IntArray] = []  # arrays, not tuples: there may be millions
    seconds: list[IntArray] = []
    values: list[FloatArray] = []
    for first in range(count - 1):
        steps = [side.logs[first + 1 :] - side.logs[first] for side in sides]
        others = np.flatnonzero(steps[0] * steps[1] < 0) + first + 1
        if len(others):
            values.append(np.maximum(*(side.order_p(first, others) for side in sides)))
            firsts.append(np.full(len(others), first))
            seconds.append(others)
    if not values:
        return Orders(pairs, 0, ())
    # The pairs in the same order have p = 1, and stand behind these in the ranking.
    p_values = np.concatenate(values)
    sure = np.flatnonzero(false_discoveries(p_values) * (pairs / len(p_values)) <= at)
    positions = zip(np.concatenate(firsts)[sure].tolist(), np.concatenate(seconds)[sure].tolist(), strict=True)
    flips = [Reversed(i, j, min(abs(float(side.logs[i] - side.logs[j])) for side in sides)) for i, j in positions]
    return Orders(pairs, len(p_values), tuple(sorted(flips, key=lambda one: (-one.size, one.first, one.second))))


@dataclass(frozen=True, slots=True)
class _Side:
    """One table's estimates as arrays, shape (n,)."""

    logs: FloatArray
    variances: FloatArray
    df: FloatArray

    @classmethod
    def of(cls, estimates: Sequence[DeviceEstimate]) -> _Side:
        return cls(
            np.log([estimate.estimate for estimate in estimates]),
            np.array([max(estimate.log_error, SMALLEST_ERROR) ** 2 for estimate in estimates]),
            np.array([estimate.df for estimate in estimates]),
        )

    def order_p(self, first: int, others: IntArray) -> FloatArray:
        """The p-values of the first one's being equal to each of the others."""
        error, df = _together(self.variances[first], self.df[first], self.variances[others], self.df[others])
        return student_beyond(df, (self.logs[others] - self.logs[first]) / error)


def _together(
    variance: FloatArray, df: FloatArray, other_variance: FloatArray, other_df: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The standard error of a difference, and its degrees of freedom by Satterthwaite."""
    total = variance + other_variance
    return np.sqrt(total), total**2 / (variance**2 / df + other_variance**2 / other_df)
