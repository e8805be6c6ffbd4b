"""Quantiles beside SciPy's, and where they are known without it."""
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportAttributeAccessIssue=false
# SciPy carries no types.

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import bdtr, chdtri, stdtrit

from lutfarm.statistics.intervals.quantiles import binomial_below, chi_squared_median, student_quantile

DEGREES = [1, 1.3, 2, 2.5, 3, 4, 5.7, 9, 30, 250.5, 99_999, 100_001, 1e7]


@pytest.mark.parametrize("df", DEGREES)
@pytest.mark.parametrize("probability", [0.025, 0.4, 0.55, 0.75, 0.95, 0.975, 0.995])
def test_a_quantile_of_t_is_that_of_scipy(df: float, probability: float) -> None:
    assert student_quantile(df, probability) == pytest.approx(float(stdtrit(df, probability)), rel=2e-9)


@pytest.mark.parametrize("probability", [0.01, 0.3, 0.6, 0.975])
def test_with_one_and_two_degrees_of_freedom_it_is_known(probability: float) -> None:
    assert student_quantile(1, probability) == pytest.approx(math.tan(math.pi * (probability - 0.5)), rel=1e-9)
    two = (2 * probability - 1) / math.sqrt(2 * probability * (1 - probability))
    assert student_quantile(2, probability) == pytest.approx(two, rel=1e-9)


def test_half_of_t_lies_below_zero_and_without_end_it_is_normal() -> None:
    assert student_quantile(3, 0.5) == 0
    assert student_quantile(math.inf, 0.975) == pytest.approx(1.959963984540054)


@pytest.mark.parametrize("df", [1, 2, 3, 4, 7, 33, 1000, 20_000])
def test_a_median_of_chi_squared_is_that_of_scipy(df: int) -> None:
    assert chi_squared_median(df) == pytest.approx(float(chdtri(df, 0.5)), rel=1e-9)


def test_the_median_of_two_degrees_of_freedom_is_that_of_an_exponential() -> None:
    assert chi_squared_median(2) == pytest.approx(2 * math.log(2))


def test_of_two_trials_none_one_or_both_hit() -> None:
    assert binomial_below(2, 0.9) == pytest.approx([0, 0.01, 0.19, 1])


@pytest.mark.parametrize("share", [0.9, 0.99, 0.05])
@pytest.mark.parametrize("count", [0, 1, 42, 437, 20_000])
def test_a_binomial_count_is_that_of_scipy(count: int, share: float) -> None:
    below = binomial_below(count, share)
    assert below[0] == 0
    assert below[1:] == pytest.approx(bdtr(np.arange(count + 1.0), count, share), abs=1e-9)
