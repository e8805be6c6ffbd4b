"""Ticks of a log axis of latencies: round, between the ends, and always enough to read the axis by."""

from __future__ import annotations

from math import floor, log10

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm.report.log_axis import log_ticks, tick_words


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (900.0, 21_000.0, [1e3, 2e3, 5e3, 1e4, 2e4]),
        (1e3, 5e3, [1e3, 2e3, 5e3]),  # the ends themselves are ticks
        (0.4, 60.0, [0.5, 1, 2, 5, 10, 20, 50]),  # below a nanosecond
        (9e2, 2e6, [1e3, 1e4, 1e5, 1e6]),  # too long for more
        (2.5e6, 3.72e6, [2.5e6, 3.0e6, 3.5e6]),  # no 1, 2 or 5 lies on it
        (1.1e6, 9e6, [2e6, 4e6, 6e6, 8e6]),
    ],
)
def test_ticks_are_round_and_as_many_as_the_axis_has_place_for(low: float, high: float, ticks: list[float]) -> None:
    assert log_ticks(low, high, sparse_from=500) == pytest.approx(ticks)


@given(st.floats(min_value=1e-2, max_value=1e15), st.floats(min_value=1.3, max_value=1e9), st.sampled_from((500, 2000)))
def test_every_axis_has_ticks_enough_all_of_them_on_it(low: float, times: float, sparse_from: float) -> None:
    found = log_ticks(low, low * times, sparse_from=sparse_from)
    assert 2 <= len(found) <= 12
    assert found == sorted(found)
    assert low <= found[0]
    assert found[-1] <= low * times


@given(st.floats(min_value=1.0, max_value=1e12), st.floats(min_value=1.3, max_value=1e6))
def test_a_tick_stands_where_its_label_says(low: float, times: float) -> None:
    """A label has four digits: a tick that needs more of them would stand beside what it is called."""
    for value in log_ticks(low, low * times, sparse_from=500):
        digits = value / 10 ** floor(log10(value))
        assert digits == pytest.approx(round(digits, 3), rel=1e-9)


def test_a_tick_is_called_by_a_latency_wherever_it_stands() -> None:
    assert [tick_words(2e6, position) for position in (0, None)] == ["2 ms", "2 ms"]
