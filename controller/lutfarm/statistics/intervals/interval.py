"""Intervals over processes: Student's t in log, with a moderated variance.

Never over iterations: they are autocorrelated (0.3-0.8), so their interval is a lie.  The moderation is that of
limma: G. K. Smyth, "Linear models and empirical Bayes methods for assessing differential expression in microarray
experiments", Stat. Appl. Genet. Mol. Biol. 3 (2004) article 3, equations for s~^2 and its degrees of freedom, with the
prior's weight fixed at 3 degrees of freedom in place of an estimated one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from lutfarm.statistics.intervals.quantiles import chi_squared_median, student_quantile
from lutfarm.statistics.samples.process import FloatArray

PRIOR_DF = 3.0
DEFAULT_SPREAD = 0.013  # the spread between processes that was measured; p90 is 3.2 %
SMALLEST_SPREAD = 0.001  # processes never agree better than this except by a coarse clock
LEAST_FOR_PRIOR = 5


@dataclass(frozen=True, slots=True)
class Interval:
    """A geometric mean over processes with its interval; `spread` is the moderated relative one between processes."""

    estimate: float
    low: float
    high: float
    spread: float

    @property
    def relative_half_width(self) -> float:
        """Half of the interval as a share of the estimate."""
        return (self.high - self.low) / 2 / self.estimate


def log_variance(estimates_ns: Sequence[float]) -> float | None:
    """The variance of the logarithms over processes; None below two."""
    return float(np.var(np.log(estimates_ns), ddof=1)) if len(estimates_ns) > 1 else None


def moderated_interval(
    estimates_ns: Sequence[float], *, confidence: float = 0.95, prior_spread: float = DEFAULT_SPREAD, prior_df: float = PRIOR_DF
) -> Interval:
    """The interval of one or more process-level estimates, each above zero.

    `prior_df` is the prior's weight: see lutfarm.statistics.estimates.prior.  One process has the prior's spread alone, and 3
    degrees of freedom whatever the weight.  Without a prior no spread is below SMALLEST_SPREAD.
    """
    logs = np.log(np.asarray(estimates_ns, dtype=np.float64))
    own_df = len(logs) - 1
    weight = prior_df if own_df else PRIOR_DF
    own = float(np.var(logs, ddof=1)) if own_df else 0.0
    variance = max((weight * prior_spread**2 + own_df * own) / (weight + own_df), SMALLEST_SPREAD**2)
    quantile = student_quantile(weight + own_df, 0.5 + confidence / 2)
    half = quantile * math.sqrt(variance / len(logs))
    middle = float(np.mean(logs))
    return Interval(math.exp(middle), math.exp(middle - half), math.exp(middle + half), math.sqrt(variance))


def relative_half_width(
    estimates_ns: Sequence[float], *, confidence: float = 0.95, prior_spread: float = DEFAULT_SPREAD, prior_df: float = PRIOR_DF
) -> float | None:
    """How precise some process-level estimates are together; None where there is none."""
    if not estimates_ns:
        return None
    return moderated_interval(
        estimates_ns, confidence=confidence, prior_spread=prior_spread, prior_df=prior_df
    ).relative_half_width


def prior_spread(variances: Sequence[float | None], degrees: Sequence[int]) -> FloatArray:
    """The prior for each of n entries of a table, from the *other* entries: relative spreads, shape (n,).

    `variances` are of logarithms, None where an entry has fewer than two processes; `degrees` their degrees of freedom.
    The median over the others, each freed of the bias that a sample variance's median has against its mean
    (chi-squared: 0.45 of it with one degree of freedom, 0.84 with four).  Where fewer than LEAST_FOR_PRIOR others
    have a variance, it is DEFAULT_SPREAD.
    """
    known = [index for index, variance in enumerate(variances) if variance is not None]
    df = np.array([degrees[index] for index in known], dtype=np.float64)
    biases = np.array([chi_squared_median(degrees[index]) for index in known]) / df
    freed = np.array([variances[index] for index in known], dtype=np.float64) / biases
    spreads = np.full(len(variances), DEFAULT_SPREAD)
    if len(known) >= LEAST_FOR_PRIOR:
        spreads[:] = math.sqrt(median(freed.tolist()))
        spreads[known] = np.sqrt(_medians_of_others(freed)) if len(known) > LEAST_FOR_PRIOR else DEFAULT_SPREAD
    return np.maximum(spreads, SMALLEST_SPREAD)


def _medians_of_others(values: FloatArray) -> FloatArray:
    """For each value the median of all the others."""
    order = np.argsort(values, kind="stable")
    ascending = values[order]
    count, rank = len(values), np.empty(len(values), dtype=np.intp)
    rank[order] = np.arange(count)
    lower, upper = (count - 2) // 2, (count - 1) // 2  # positions of the middle among count - 1 values

    def without(position: int) -> FloatArray:
        return ascending[np.where(rank <= position, position + 1, position)]

    return (without(lower) + without(upper)) / 2
