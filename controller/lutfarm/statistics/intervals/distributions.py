"""What SciPy knows, imported when it is first needed: no command should start with up to two seconds of it.

What every table needs is in `quantiles`.
"""
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# SciPy carries no types.

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lutfarm.statistics.samples.process import FloatArray

NEWTON_STEPS = 60  # bisection alone would need 50; a handful is usual
NORMAL_PEAK = 1 / math.sqrt(2 * math.pi)


def student_beyond(df: FloatArray, values: FloatArray) -> FloatArray:
    """How likely Student's t is at least as far from 0 as `values`, on either side; shapes broadcast."""
    from scipy.special import stdtr

    return 2 * stdtr(df, -np.abs(values))


def false_discoveries(p_values: FloatArray) -> FloatArray:
    """P-values adjusted by Benjamini and Hochberg, shape (n,)."""
    from scipy.stats import false_discovery_control

    return false_discovery_control(p_values) if len(p_values) else p_values


def chi_squared_exceeds(value: float, df: int) -> float:
    """How likely a chi-squared variable with `df` degrees of freedom is at least `value`."""
    from scipy.special import chdtrc

    return float(chdtrc(df, max(value, 0.0)))


def mixture_quantile(weights: FloatArray, means: FloatArray, deviations: FloatArray, probability: float) -> FloatArray:
    """The quantiles of m mixtures of g normals each; weights (g,) with sum 1, the others (m, g).

    Newton's method from the normal with the mixture's mean and variance, kept within a bracket that shrinks: the quantile of
    a mixture lies between the smallest and the largest of its components'.
    """
    from scipy.special import ndtr, ndtri

    quantile = float(ndtri(probability))
    limits = means + quantile * deviations
    low, high = limits.min(axis=1), limits.max(axis=1)
    middle = means @ weights
    spread = np.sqrt(np.maximum((np.square(deviations) + np.square(means)) @ weights - np.square(middle), 0.0))
    quantiles = np.clip(middle + quantile * spread, low, high)
    tolerance = 1e-10 * (np.abs(middle) + spread)
    for _ in range(NEWTON_STEPS):
        standard = (quantiles[:, None] - means) / deviations
        error = ndtr(standard) @ weights - probability
        high, low = np.where(error >= 0, quantiles, high), np.where(error < 0, quantiles, low)
        density = (np.exp(-np.square(standard) / 2) / deviations) @ weights * NORMAL_PEAK
        with np.errstate(divide="ignore", invalid="ignore"):
            following = quantiles - error / density
        inside = (following > low) & (following < high)
        following = np.where(inside, following, (low + high) / 2)
        if (np.abs(following - quantiles) <= tolerance).all():
            return following
        quantiles = following
    return quantiles


def kendall(first: Sequence[float] | FloatArray, second: Sequence[float] | FloatArray) -> float | None:
    """Kendall's tau-b; None where a side does not vary or has fewer than two values."""
    from scipy.stats import kendalltau

    return _finite(kendalltau(first, second)) if _varies(first, second) else None


def spearman(first: Sequence[float] | FloatArray, second: Sequence[float] | FloatArray) -> float | None:
    """Spearman's rank correlation; None where a side does not vary or has fewer than two values."""
    from scipy.stats import spearmanr

    return _finite(spearmanr(first, second)) if _varies(first, second) else None


def _varies(*sides: Sequence[float] | FloatArray) -> bool:
    return all(len(side) > 1 and min(side) < max(side) for side in sides)


def _finite(result: Any) -> float | None:
    statistic = float(result.statistic)
    return statistic if math.isfinite(statistic) else None
