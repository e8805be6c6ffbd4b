"""Intervals over processes."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm.statistics import moderated_interval, prior_spread, relative_half_width
from lutfarm.statistics.intervals.interval import DEFAULT_SPREAD, SMALLEST_SPREAD, log_variance

levels = st.lists(st.floats(1.0, 1e9), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("n", "quantile"),
    # Student's t at 97.5 % with 3 + n - 1 degrees of freedom, from printed tables
    [(1, 3.182), (2, 2.776), (3, 2.571), (4, 2.447), (5, 2.365)],
)
def test_equal_processes_leave_the_shrunken_prior(n: int, quantile: float) -> None:
    found = moderated_interval([200.0] * n, prior_spread=0.013)
    spread = math.sqrt(3 * 0.013**2 / (3 + n - 1))
    assert found.estimate == pytest.approx(200.0)
    assert found.spread == pytest.approx(spread)
    assert math.log(found.high / found.estimate) == pytest.approx(quantile * spread / math.sqrt(n), rel=1e-3)


def test_the_estimate_is_the_geometric_mean() -> None:
    assert moderated_interval([100.0, 400.0]).estimate == pytest.approx(200.0)


def test_with_many_processes_the_prior_hardly_counts() -> None:
    values = np.exp(np.random.default_rng(1).normal(5, 0.1, 2000)).tolist()
    narrow, wide = (moderated_interval(values, prior_spread=spread) for spread in (0.001, 0.05))
    assert narrow.spread == pytest.approx(wide.spread, rel=0.01)
    assert narrow.spread == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_the_interval_covers_as_often_as_it_says(confidence: float) -> None:
    dice = np.random.default_rng(7)
    draws = np.exp(dice.normal(0.0, 0.02, (2000, 4)))
    found = [moderated_interval(row.tolist(), confidence=confidence, prior_spread=0.02) for row in draws]
    covered = np.mean([interval.low <= 1.0 <= interval.high for interval in found])
    # The prior is right here, so that the interval covers more than it promises, not less.
    assert confidence - 0.01 <= covered <= confidence + 0.08


def test_more_confidence_is_a_wider_interval() -> None:
    widths = [relative_half_width([1.0, 1.01, 0.99], confidence=c) or 0.0 for c in (0.5001, 0.8, 0.95, 0.999)]
    assert widths == sorted(widths)
    assert widths[0] > 0


def test_nothing_has_no_width() -> None:
    assert relative_half_width([]) is None
    assert log_variance([]) is None
    assert log_variance([5.0]) is None


@given(levels, st.floats(1e-3, 1e3))
def test_scaling_the_processes_scales_the_interval(values: list[float], factor: float) -> None:
    one, other = moderated_interval(values), moderated_interval([factor * value for value in values])
    for name in ("estimate", "low", "high"):
        assert getattr(other, name) == pytest.approx(factor * getattr(one, name), rel=1e-9)
    assert other.relative_half_width == pytest.approx(one.relative_half_width, rel=1e-6)


@given(levels, st.randoms(use_true_random=False))
def test_the_order_of_processes_does_not_matter(values: list[float], dice: Random) -> None:
    shuffled = list(values)
    dice.shuffle(shuffled)
    one, other = moderated_interval(values), moderated_interval(shuffled)
    assert other.estimate == pytest.approx(one.estimate, rel=1e-9)
    assert other.spread == pytest.approx(one.spread, rel=1e-6)


@given(levels)
def test_the_estimate_lies_inside(values: list[float]) -> None:
    found = moderated_interval(values)
    assert 0 < found.low < found.estimate < found.high
    assert min(values) * (1 - 1e-9) <= found.estimate <= max(values) * (1 + 1e-9)


def test_a_table_alone_has_the_default_prior() -> None:
    assert prior_spread([], []).tolist() == []
    assert prior_spread([None, 0.01**2, 0.02**2], [0, 3, 3]).tolist() == [DEFAULT_SPREAD] * 3


def test_the_prior_of_an_entry_is_that_of_the_others() -> None:
    """Five others agree on 2 %; the sixth is wild, and does not widen its own prior."""
    found = prior_spread([0.02**2] * 5 + [0.5**2], [4] * 6)
    debiased = 0.02 / math.sqrt(3.356694 / 4)  # the median of chi-squared with 4 degrees of freedom
    assert found[5] == pytest.approx(debiased, rel=1e-5)
    assert found[:5].tolist() == pytest.approx([debiased] * 5, rel=1e-5)


@pytest.mark.parametrize("count", [6, 7, 12, 13])
def test_the_medians_leave_one_out(count: int) -> None:
    dice = np.random.default_rng(count)
    variances = np.square(dice.uniform(0.005, 0.05, count))
    found = prior_spread(variances.tolist(), [2] * count)
    debias = 2 * math.log(2) / 2  # the median of chi-squared with 2 degrees of freedom, over 2
    by_hand = [math.sqrt(np.median(np.delete(variances, at)) / debias) for at in range(count)]
    assert found.tolist() == pytest.approx(by_hand)


def test_entries_of_one_process_get_the_prior_of_all_others() -> None:
    found = prior_spread([None] + [0.03**2] * 5, [0] + [2] * 5)
    assert found[0] == pytest.approx(0.03 / math.sqrt(math.log(2)))
    assert found[1:].tolist() == [DEFAULT_SPREAD] * 5  # only four others: too few


def test_the_prior_is_freed_of_the_medians_bias() -> None:
    """The true spread is found from many entries of two or three processes, whose median variance is far below it."""
    dice = np.random.default_rng(3)
    variances = [float(np.var(dice.normal(0, 0.02, n), ddof=1)) for n in [2, 3] * 400]
    found = prior_spread(variances, [1, 2] * 400)
    assert float(np.median(found)) == pytest.approx(0.02, rel=0.1)


def test_no_prior_is_narrower_than_a_clock_can_tell() -> None:
    assert prior_spread([0.0] * 8, [3] * 8).tolist() == [SMALLEST_SPREAD] * 8


@pytest.mark.parametrize("prior_df", [0.0, 0.5, 20.0])
def test_one_process_has_three_degrees_of_freedom_whatever_the_priors_weight(prior_df: float) -> None:
    found = moderated_interval([200.0], prior_spread=0.013, prior_df=prior_df)
    assert math.log(found.high / found.estimate) == pytest.approx(3.182 * 0.013, rel=1e-3)
