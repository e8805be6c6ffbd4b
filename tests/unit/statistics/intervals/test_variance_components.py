"""Variance components, bounds of tails, change points: simulated truths in, estimates out."""

from __future__ import annotations

import math
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm.statistics.intervals.interval import Interval, moderated_interval
from lutfarm.statistics.intervals.tails import Bounds, least_count, tail_bounds
from lutfarm.statistics.intervals.variance_components import Components, components
from lutfarm.statistics.samples.change_point import change_point
from lutfarm.statistics.samples.correlation import effective_size
from lutfarm.statistics.samples.process import FloatArray

SPREADS = (0.04, 0.03, 0.02, 0.01)  # sittings, processes, slices, iterations


def nested(
    seed: int, *, sittings: int = 6, processes: int = 5, slices: int = 6, iterations: int = 8, uneven: bool = False
) -> tuple[list[FloatArray], list[int], list[int]]:
    rng = np.random.default_rng(seed)
    series: list[FloatArray] = []
    of_process: list[int] = []
    of_sitting: list[int] = []
    process = 0
    for sitting in range(sittings):
        day = rng.normal(0, SPREADS[0])
        for _ in range(int(rng.integers(1, processes + 1)) if uneven else processes):
            shift = day + rng.normal(0, SPREADS[1])
            for _ in range(int(rng.integers(1, slices + 1)) if uneven else slices):
                size = int(rng.integers(1, iterations + 1)) if uneven else iterations
                level = shift + rng.normal(0, SPREADS[2])
                series.append(1e5 * np.exp(level + rng.normal(0, SPREADS[3], size)))
                of_process.append(process)
                of_sitting.append(sitting)
            process += 1
    return series, of_process, of_sitting


@pytest.mark.parametrize("uneven", [False, True])
def test_each_part_is_found_on_average(uneven: bool) -> None:
    """Mean squares are unbiased; a standard deviation from 5 degrees of freedom is not, so squares are averaged."""
    found = [components(*nested(seed, uneven=uneven)) for seed in range(100)]
    parts = [[one.between_sittings, one.between_processes, one.between_slices, one.within_slices] for one in found]
    means = [math.sqrt(np.mean([(row[k] or 0.0) ** 2 for row in parts])) for k in range(4)]
    assert means == pytest.approx(SPREADS, rel=0.15)


def test_a_balanced_layout_has_the_textbook_mean_squares() -> None:
    series, processes, sittings = nested(3, sittings=1, processes=4, slices=5, iterations=6)
    logs = np.log(np.array(series)).reshape(4, 5, 6)
    within = logs.var(axis=2, ddof=1).mean()
    between_slices = (6 * logs.mean(axis=2).var(axis=1, ddof=1).mean() - within) / 6
    between_processes = (30 * logs.mean(axis=(1, 2)).var(ddof=1) - 6 * between_slices - within) / 30
    found = components(series, processes, sittings)
    assert found.within_slices == pytest.approx(math.sqrt(within))
    assert found.between_slices == pytest.approx(math.sqrt(between_slices))
    assert found.between_processes == pytest.approx(math.sqrt(between_processes))
    assert found.between_sittings is None


def test_what_has_one_group_is_not_told() -> None:
    one = np.array([100.0, 110.0])
    assert components([], [], []) == Components(None, None, None, None)
    assert components([np.array([100.0])], [0], [0]) == Components(None, None, None, None)
    alone = components([one], [0], [0])
    assert alone.within_slices == pytest.approx(float(np.std(np.log(one), ddof=1)))
    assert (alone.between_slices, alone.between_processes, alone.between_sittings) == (None, None, None)
    swept = components([np.array([ns]) for ns in (100.0, 104.0, 101.0, 99.0)], [0, 0, 1, 1], [0, 0, 0, 0])
    assert swept.within_slices is None
    assert swept.between_slices is not None


@given(st.lists(st.lists(st.floats(1.0, 1e9), min_size=1, max_size=4), min_size=1, max_size=8), st.data())
def test_no_part_is_below_zero_or_infinite(values: list[list[float]], data: st.DataObject) -> None:
    processes = sorted(data.draw(st.lists(st.integers(0, 3), min_size=len(values), max_size=len(values))))
    found = components([np.array(one) for one in values], processes, [process // 2 for process in processes])
    for part in (found.within_slices, found.between_slices, found.between_processes, found.between_sittings):
        assert part is None or (math.isfinite(part) and part >= 0)


ALONE = Interval(1.0, 1.0, 1.0, 0.0)  # nothing is uncertain of the process


@pytest.mark.parametrize(("share", "count"), [(0.9, 42), (0.99, 437)])
def test_least_counts_are_those_of_the_binomial(share: float, count: int) -> None:
    assert least_count(share, 0.975) == count
    assert share**count <= 0.0125 < share ** (count - 1)
    values = np.exp(np.random.default_rng(1).normal(size=4 * count))
    assert tail_bounds([values[: count - 1]], [1.0], ALONE, share) is None
    assert tail_bounds([values], [1.0], ALONE, share) is not None


@pytest.mark.parametrize("share", [0.9, 0.99])
def test_bounds_hold_the_quantile_of_the_mean_process_as_often_as_they_say(share: float) -> None:
    """Processes differ by 3 %, iterations by 5 %."""
    from scipy.special import ndtri

    truth = 1000 * math.exp(0.05 * ndtri(share))
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(200):
        series = [1000 * np.exp(rng.normal(0, 0.03) + rng.normal(0, 0.05, 300)) for _ in range(4)]
        levels = [float(np.median(values)) for values in series]
        found = tail_bounds(series, levels, moderated_interval(levels, prior_df=0.0), share)
        assert found is not None
        held += found.low <= truth <= found.high
    assert held / 200 >= 0.93


@pytest.mark.parametrize(("share", "count"), [(0.9, 90), (0.9, 731), (0.99, 900)])
def test_bounds_are_those_of_scipy(share: float, count: int) -> None:
    from scipy.stats import quantile_test

    values = np.random.default_rng(count).normal(100, 1, count)
    ours = tail_bounds([values], [1.0], ALONE, share)
    thinned = values[:: math.ceil(count / effective_size(values))]
    theirs = quantile_test(thinned, p=share).confidence_interval(0.975)
    assert ours == Bounds(theirs.low, theirs.high)


def test_correlated_iterations_give_wider_bounds() -> None:
    rng = np.random.default_rng(9)
    noise = rng.normal(size=4000)
    series = np.empty(4000)
    series[0] = noise[0]
    for index in range(1, 4000):
        series[index] = 0.95 * series[index - 1] + math.sqrt(1 - 0.95**2) * noise[index]
    correlated, independent = (tail_bounds([np.exp(values)], [1.0], ALONE, 0.9) for values in (series, noise))
    assert correlated is not None
    assert independent is not None
    assert math.log(correlated.high / correlated.low) > 2 * math.log(independent.high / independent.low)


def test_a_step_is_found_where_it_is() -> None:
    found = change_point([1000, 1001, 999, 1002, 1000.5, 1051, 1050, 1049, 1052, 1050.5])
    assert found is not None
    assert found.position == 5
    assert found.ratio == pytest.approx(1.05, rel=1e-3)
    assert found.p_value < 0.015  # 2 / C(10, 5) = 0.008 and what the other positions add


def test_chance_is_taken_for_a_step_as_often_as_it_says() -> None:
    rng = np.random.default_rng(11)
    found = [change_point(list(1000 * np.exp(rng.normal(0, 0.02, 12)))) for _ in range(300)]
    assert sum(one is not None and one.p_value <= 0.05 for one in found) / 300 == pytest.approx(0.05, abs=0.03)


def test_few_or_equal_values_show_no_step() -> None:
    assert change_point([1.0, 2.0, 3.0]) is None
    flat = change_point([5.0] * 12)
    assert flat is not None
    assert (flat.ratio, flat.p_value) == (1.0, 1.0)


@given(st.lists(st.floats(1.0, 1e9), min_size=4, max_size=12))
def test_the_order_of_time_reversed_shows_the_same_step(values: list[float]) -> None:
    forward, backward = change_point(values), change_point(values[::-1])
    assert forward is not None
    assert backward is not None
    assert forward.p_value == backward.p_value
    assert len(list(groupby(values))) > 1 or forward.ratio == 1.0


def test_a_part_that_comes_out_below_zero_takes_nothing_from_the_parts_outside_it() -> None:
    """Slices whose means agree better than chance: their variance is none, and that of the processes is by the slices' own."""
    dice = np.random.default_rng(5)
    one = dice.normal(0, 0.01, 6)
    series = [1e5 * np.exp(process + one - one.mean()) for process in (0.0, 0.03, -0.02, 0.01) for _ in range(5)]
    found = components(series, [n // 5 for n in range(20)], [0] * 20)
    assert found.between_slices == 0.0
    within = float((one - one.mean()) @ (one - one.mean())) / 5
    means = np.array([0.0, 0.03, -0.02, 0.01])
    expected = means.var(ddof=1) - within / 30  # mean squares: 30 n s^2 = within + 30 between
    assert found.between_processes == pytest.approx(math.sqrt(expected), rel=1e-6)
