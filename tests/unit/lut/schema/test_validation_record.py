"""Predictions against measured networks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm.lut import compare


def test_the_figures() -> None:
    measured = [100.0, 200.0, 300.0, 400.0]
    found = compare([104.0, 192.0, 327.0, 600.0], measured)
    assert found.n == 4
    assert found.mape == pytest.approx((0.04 + 0.04 + 0.09 + 0.50) / 4)
    assert found.bias == pytest.approx((0.04 - 0.04 + 0.09 + 0.50) / 4)
    assert found.worst == pytest.approx(0.5)
    assert (found.kendall_tau, found.spearman) == (pytest.approx(1.0), pytest.approx(1.0))
    assert (found.within_5_percent, found.within_10_percent) == (0.5, 0.75)


@pytest.mark.parametrize(
    ("predicted", "tau", "rho"),
    [([4.0, 3.0, 2.0, 1.0], -1.0, -1.0), ([1.0, 2.0, 4.0, 3.0], 2 / 3, 0.8), ([5.0, 5.0, 5.0, 5.0], None, None)],
)
def test_ranks(predicted: list[float], tau: float | None, rho: float | None) -> None:
    found = compare(predicted, [1.0, 2.0, 3.0, 4.0])
    assert found.kendall_tau == (None if tau is None else pytest.approx(tau))
    assert found.spearman == (None if rho is None else pytest.approx(rho))


def test_one_network_has_no_ranks() -> None:
    assert compare([2.0], [1.0]).kendall_tau is None


@pytest.mark.parametrize(
    ("predicted", "measured"),
    [
        ([], []),
        ([1.0], [1.0, 2.0]),
        ([[1.0]], [[1.0]]),
        ([1.0], [0.0]),
        ([1.0], [-1.0]),
        ([float("nan")], [1.0]),
        ([1.0], [float("inf")]),
    ],
)
def test_what_cant_be_compared_is_refused(predicted: list, measured: list) -> None:
    with pytest.raises(ValueError, match=r"networks|latencies"):
        compare(predicted, measured)


@given(st.lists(st.tuples(st.floats(1, 1e9), st.floats(1, 1e9)), min_size=1, max_size=30), st.sampled_from([2.0, 0.25]))
def test_units_do_not_matter(pairs: list[tuple[float, float]], factor: float) -> None:
    predicted, measured = zip(*pairs, strict=True)
    one = compare(predicted, measured)
    assert compare([factor * p for p in predicted], [factor * m for m in measured]) == one
    assert 0 <= one.mape <= one.worst * (1 + 1e-12)  # a mean of equal numbers rounds
    assert abs(one.bias) <= one.mape + 1e-12
    assert one.within_5_percent <= one.within_10_percent
