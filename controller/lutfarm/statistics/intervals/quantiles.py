"""The distributions that every table needs, computed here so that none waits for SciPy; a test holds them against it.

The incomplete beta function by its continued fraction, the incomplete gamma function by its series, t about the normal
distribution: M. Abramowitz and I. A. Stegun, Handbook of Mathematical Functions (1964), 26.5.8, 6.5.29 and 26.7.5.  Each
quantile is found by Newton's method within a bracket.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from lutfarm.statistics.samples.process import FloatArray

STEPS = 200  # a bracket halved so often is one number
TERMS = 10_000
SETTLED = 1e-15
ALMOST_NORMAL = 1e5  # degrees of freedom: the first term of the expansion about the normal leaves 1e-10
TINY = 1e-300  # in place of a zero denominator


@lru_cache(maxsize=4096)
def student_quantile(df: float, probability: float) -> float:
    """The quantile of Student's t with `df` degrees of freedom, above zero; `probability` between 0 and 1."""
    if probability < 0.5:
        return -student_quantile(df, 1 - probability)
    if df > ALMOST_NORMAL:
        normal = NormalDist().inv_cdf(probability)
        return normal + (normal**3 + normal) / (4 * df)
    within = 2 * probability - 1  # of the values are nearer to 0 than the quantile
    if within == 0:
        return 0.0
    peak = math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(df * math.pi)

    def excess(value: float) -> float:
        return _beta_share(0.5, df / 2, value * value / (df + value * value)) - within

    def slope(value: float) -> float:
        return 2 * peak * (1 + value * value / df) ** (-(df + 1) / 2)

    high = 1.0
    while excess(high) < 0:
        high *= 2
    return _root(excess, slope, low=0.0, high=high)


@lru_cache(maxsize=4096)
def chi_squared_median(df: float) -> float:
    """The median of a chi-squared distribution with `df` degrees of freedom, above zero.

    It lies between df - 2/3 and df: J. Chen and H. Rubin, Statistics & Probability Letters 4 (1986) 281-283.
    """

    def excess(value: float) -> float:
        return _gamma_share(df / 2, value / 2) - 0.5

    def slope(value: float) -> float:
        return math.exp((df / 2 - 1) * math.log(value / 2) - value / 2 - math.lgamma(df / 2)) / 2

    return _root(excess, slope, low=max(0.0, df - 2 / 3), high=df)


def binomial_below(count: int, share: float) -> FloatArray:
    """How likely a binomial count of `count` trials is below r, for r = 0 ... count + 1; shape (count + 2,)."""
    hits = np.arange(count + 1.0)
    ways = np.concatenate([[0.0], np.cumsum(np.log((count - hits[:-1]) / hits[1:]))])  # logarithms of the binomial coefficients
    return np.concatenate([[0.0], np.cumsum(np.exp(ways + hits * math.log(share) + (count - hits) * math.log1p(-share)))])


def _root(excess: Callable[[float], float], slope: Callable[[float], float], *, low: float, high: float) -> float:
    """Where an increasing function is zero, between `low` and `high`."""
    value = (low + high) / 2
    for _ in range(STEPS):
        error = excess(value)
        low, high = (low, value) if error > 0 else (value, high)
        following = value - error / slope(value)
        if not low < following < high:
            following = (low + high) / 2
        if abs(following - value) <= SETTLED * value:
            return following
        value = following
    return value


def _beta_share(a: float, b: float, x: float) -> float:
    """The regularized incomplete beta function I_x(a, b)."""
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast below this
        return 1 - _beta_share(b, a, 1 - x)
    if x <= 0:
        return 0.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    return front * _beta_fraction(a, b, x) / a


def _beta_fraction(a: float, b: float, x: float) -> float:
    """By Lentz's algorithm."""
    above, below = 1.0, 1 / _safe(1 - (a + b) * x / (a + 1))
    fraction = below
    for m in range(1, TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        before = fraction
        for term in (even, odd):
            below = 1 / _safe(1 + term * below)
            above = _safe(1 + term / above)
            fraction *= above * below
        if abs(fraction - before) <= SETTLED * abs(fraction):
            break
    return fraction


def _safe(value: float) -> float:
    return value if abs(value) > TINY else TINY


def _gamma_share(a: float, x: float) -> float:
    """The regularized lower incomplete gamma function P(a, x)."""
    term = total = 1 / a
    for n in range(1, TERMS):
        term *= x / (a + n)
        total += term
        if term <= SETTLED * total:
            break
    return total * math.exp(a * math.log(x) - x - math.lgamma(a))
