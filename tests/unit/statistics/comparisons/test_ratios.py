"""Ratios and orders of estimates whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm.statistics import moderated_interval
from lutfarm.statistics.comparisons.devices import DeviceEstimate
from lutfarm.statistics.comparisons.ratios import device_estimate, differ, orders, ratio_of

LEVELS = st.builds(DeviceEstimate, st.floats(1.0, 1e9), st.floats(1e-4, 0.3), st.floats(3.0, 30.0))
MANY = st.lists(LEVELS, min_size=2, max_size=12)


def measured(random: np.random.Generator, truth_ns: float, spread: float, processes: int) -> DeviceEstimate:
    """An estimate with its interval, as a table has it."""
    levels = truth_ns * np.exp(spread * random.standard_normal(processes))
    found = moderated_interval(levels.tolist(), prior_spread=spread)
    return device_estimate(found.estimate, found.low, found.high, confidence=0.95, rounds=processes)


@given(LEVELS, LEVELS)
def test_the_other_way_round_the_ratio_is_the_reciprocal(a: DeviceEstimate, b: DeviceEstimate) -> None:
    one, other = ratio_of(a, b), ratio_of(b, a)
    assert one.ratio == pytest.approx(1 / other.ratio)
    assert (one.low, one.high) == (pytest.approx(1 / other.high), pytest.approx(1 / other.low))
    assert one.p_value == pytest.approx(other.p_value)
    assert one.low <= one.ratio <= one.high


@given(MANY)
def test_a_table_has_no_flip_against_itself_and_nothing_differs(levels: list[DeviceEstimate]) -> None:
    found = orders(levels, levels)
    assert (found.reversed, found.flips, found.pairs) == (0, (), len(levels) * (len(levels) - 1) // 2)
    assert not any(differ([ratio_of(level, level).p_value for level in levels]))


@given(MANY, st.randoms())
def test_flips_are_the_same_from_both_sides_and_are_reversed_in_fact(levels: list[DeviceEstimate], random: object) -> None:
    other = list(levels)
    random.shuffle(other)  # type: ignore[attr-defined]
    one, two = orders(levels, other), orders(other, levels)
    assert {(f.first, f.second) for f in one.flips} == {(f.first, f.second) for f in two.flips}
    assert one.reversed == two.reversed >= len(one.flips)
    for flip in one.flips:
        steps = [side[flip.second].estimate - side[flip.first].estimate for side in (levels, other)]
        assert steps[0] * steps[1] < 0
        assert flip.size > 0
    assert [f.size for f in one.flips] == sorted((f.size for f in one.flips), reverse=True)


def test_an_interval_is_read_back_as_it_was() -> None:
    found = moderated_interval([100.0, 102.0, 99.0, 101.0])
    level = device_estimate(found.estimate, found.low, found.high, confidence=0.95, rounds=4)
    assert level.log_error * math.sqrt(4) == pytest.approx(found.spread)
    assert level.df == 6
    narrower = moderated_interval([100.0, 102.0, 99.0, 101.0], confidence=0.8)
    again = device_estimate(narrower.estimate, narrower.low, narrower.high, confidence=0.8, rounds=4)
    assert again.log_error == pytest.approx(level.log_error)


@pytest.mark.parametrize(("spreads", "processes"), [((0.013, 0.013), (5, 5)), ((0.005, 0.03), (3, 8)), ((0.02, 0.02), (2, 2))])
def test_intervals_of_ratios_hold_the_truth_as_often_as_they_say(
    spreads: tuple[float, float], processes: tuple[int, int]
) -> None:
    random = np.random.default_rng(5)
    hits, tries = 0, 1000
    for _ in range(tries):
        a, b = (measured(random, ns, s, n) for ns, s, n in zip((100.0, 107.0), spreads, processes, strict=True))
        found = ratio_of(a, b)
        hits += found.low <= 1.07 <= found.high
    assert 0.935 <= hits / tries <= 0.99  # the prior is the truth here: conservative by some percent, never short


def test_of_equal_entries_hardly_any_is_said_to_differ_and_real_ones_are_found() -> None:
    random = np.random.default_rng(1)
    false = true = 0
    for _ in range(30):
        ratios = [
            ratio_of(measured(random, 100, 0.01, 5), measured(random, 110.0 if n < 5 else 100.0, 0.01, 5)) for n in range(50)
        ]
        found = differ([one.p_value for one in ratios])
        true += sum(found[:5])
        false += sum(found[5:])
    assert true >= 0.98 * 150
    assert false <= 0.05 * (true + false) * 1.5


def test_an_order_is_reversed_only_where_both_tables_are_sure() -> None:
    def side(*values: float, error: float = 0.01) -> list[DeviceEstimate]:
        return [DeviceEstimate(value, error, 8.0) for value in values]

    sure = orders(side(100, 120, 300), side(120, 100, 300))
    assert [(f.first, f.second) for f in sure.flips] == [(0, 1)]
    assert sure.flips[0].size == pytest.approx(math.log(1.2))
    assert (sure.pairs, sure.reversed) == (3, 1)
    unsure = orders(side(100, 101, 300), side(120, 100, 300))
    assert (unsure.reversed, unsure.flips) == (1, ())
    assert orders(side(100), side(200)).pairs == 0
    assert differ([]) == []


def test_noise_alone_reverses_orders_and_is_not_called_a_flip() -> None:
    random = np.random.default_rng(3)
    truths = 100 * 1.004 ** np.arange(60)
    a, b = ([measured(random, float(ns), 0.013, 5) for ns in truths] for _ in range(2))
    found = orders(a, b)
    assert found.reversed > 20
    assert len(found.flips) <= 1


def test_a_ratio_may_be_tested_against_a_shift() -> None:
    a, b = DeviceEstimate(100.0, 0.004, 8.0), DeviceEstimate(105.0, 0.004, 8.0)
    assert ratio_of(a, b).p_value < 1e-3
    assert ratio_of(a, b, beside=math.log(1.05)).p_value == pytest.approx(1.0)
