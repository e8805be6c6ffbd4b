"""How likely a series without a trend is as ordered."""
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportAttributeAccessIssue=false
# SciPy carries no types.

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from lutfarm.statistics.samples.trend import trend_p_value


@pytest.mark.parametrize(
    ("values", "p_value"),
    [
        ([1, 2, 3, 4], 2 / 24),
        ([4, 3, 2, 1], 2 / 24),
        ([1, 2, 3, 5, 4], 2 * 5 / 120),  # in order, or with one of four neighbours swapped, in either direction
        ([2, 1], 1.0),
        ([3, 3, 3], 1.0),
        ([7], 1.0),
        ([], 1.0),
    ],
)
def test_orders_are_counted(values: list[float], p_value: float) -> None:
    assert trend_p_value(values) == pytest.approx(p_value)


@given(st.lists(st.integers(0, 60), min_size=2, max_size=45).filter(lambda values: len(set(values)) > 1))
def test_it_is_kendalls_test_against_time(values: list[int]) -> None:
    assert trend_p_value(values) == pytest.approx(kendalltau(range(len(values)), values).pvalue, abs=1e-9)


@pytest.mark.parametrize("count", [33, 34])
def test_where_orders_are_no_longer_counted_the_answer_hardly_changes(count: int) -> None:
    values = [float((7 * number) % count + number / 2) for number in range(count)]
    assert trend_p_value(values) == pytest.approx(kendalltau(range(count), values).pvalue, abs=1e-9)
