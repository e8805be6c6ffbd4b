"""What raises which flag."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.lut_kit import REFERENCE_NS, piece, run

from lutfarm.statistics import Target, sample, summarize
from lutfarm.statistics.samples.conditions import canary_level, extremes, scope, sittings_of, wall_over_cpu
from lutfarm.statistics.samples.trend import trend_p_value
from lutfarm_jobs.run import Run


def flags(*runs: Run, target: Target | None = None) -> set[str]:
    found = sample(runs)
    assert found is not None
    return set(summarize(found, target).flags)


def calm(*estimates_ns: int, **changes: object) -> list[Run]:
    return [run(*[piece(level)] * 12, number=n, **changes) for n, level in enumerate(estimates_ns)]  # type: ignore[arg-type]


def test_a_calm_device_is_converged_and_nothing_else() -> None:
    assert flags(*calm(1000, 1001, 999, 1000)) == {"converged"}


@pytest.mark.parametrize(
    ("runs", "target"),
    [
        (calm(1000), Target()),
        (calm(1000, 1150, 950, 1100), Target()),
        (calm(1000, 1001, 999, 1000), Target(0.001)),
        (calm(1000, 1001, 999, 1000), Target(0.02, 0.95, 5)),
        (calm(1000), Target(0.2, 0.95, 2)),
    ],
)
def test_a_target_that_is_missed(runs: list[Run], target: Target) -> None:
    assert flags(*runs, target=target) == {"not_precise"}


def test_one_process_can_be_enough_where_the_job_says_so() -> None:
    assert flags(*calm(1000), target=Target(0.2, 0.95, 1)) == {"converged"}


def test_a_reference_of_the_same_sitting_is_provisional() -> None:
    assert flags(*calm(1000, 1001, 999, 1000, provisional=True)) == {"converged", "reference_provisional"}


def test_what_counts_of_a_swept_workload_depends_on_the_reference_too() -> None:
    swept = [run(*[piece(10**7, gated=False)] * 12, number=n, provisional=True) for n in range(4)]
    assert flags(*swept) == {"converged", "reference_provisional"}


@pytest.mark.parametrize(("rejected", "is_contended"), [(12, False), (13, True)])
def test_contended_is_more_than_half_of_the_visits(rejected: int, is_contended: bool) -> None:
    assert ("contended" in flags(*calm(1000, 1001, 999, 1000, rejected=rejected))) is is_contended


@pytest.mark.parametrize(("loud", "is_contended"), [(6, False), (7, True)])
def test_a_swept_workload_is_contended_where_most_visits_were_not_quiet(loud: int, is_contended: bool) -> None:
    slices = [piece(10**7, gated=False, canary_ns=1500, quiet=False)] * loud + [piece(10**7, gated=False)] * (12 - loud)
    assert ("contended" in flags(*[run(*slices, number=n) for n in range(4)])) is is_contended


def test_processes_that_differ_by_factors_are_no_estimate() -> None:
    assert flags(*calm(1000, 1000, 3000)) == {"rounds_disagree", "not_precise"}
    found = sample(calm(1000, 1000, 3000))
    assert found is not None
    interval = summarize(found).interval
    assert interval.low <= 1000 < 3000 <= interval.high


def test_one_process_that_was_held_up_among_enough_that_agree_is_left_out() -> None:
    runs = calm(1000, 1001, 3000, 999)
    assert flags(*runs) == {"converged"}
    found = sample(runs)
    assert found is not None
    assert sorted(found.estimates) == [999, 1000, 1001]
    assert found.runs_left_out == 1


@pytest.mark.parametrize(
    ("slice_", "is_preempted"),
    [
        (piece(10**7, gated=False, switches=3), True),
        (piece(10**7, gated=False, cpu_ns=9 * 10**6), True),
        (piece(10**7, gated=False, cpu_ns=99 * 10**5), False),
        (piece(10**7, gated=False, cpu_ns=0), False),
    ],
)
def test_preempted(slice_: object, is_preempted: bool) -> None:
    runs = [run(*[slice_] * 12, number=n) for n in range(4)]  # type: ignore[arg-type]
    assert ("preempted" in flags(*runs)) is is_preempted


@pytest.mark.parametrize(
    ("estimates_ns", "drifts"),
    [
        ((1000, 1010, 1020, 1030, 1040), True),
        ((1040, 1030, 1020, 1010, 1000), True),
        ((1000, 1002, 1004, 1006, 1008), False),  # in order, but by less than the target
        ((1000, 1020, 1040, 1060), False),  # four in order are no news: 1 in 12
        ((1040, 1000, 1030, 1010, 1020), False),
        ((1000, 1000, 1000, 1000, 1000), False),
    ],
)
def test_drift(estimates_ns: tuple[int, ...], drifts: bool) -> None:
    assert ("drift" in flags(*calm(*estimates_ns))) is drifts


def with_canary(canary_ns: int, *, seconds_apart: float = 30.0, references: tuple[int, ...] = (REFERENCE_NS,) * 4) -> list[Run]:
    slices = [piece(1000, canary_ns=canary_ns)] * 12
    return [
        run(*slices, number=n, started_s=1000 + n * seconds_apart, reference_ns=reference)
        for n, reference in enumerate(references)
    ]


@pytest.mark.parametrize(
    ("runs", "is_stale"),
    [
        (with_canary(1000), False),
        (with_canary(880), True),  # the device became faster
        (with_canary(1300), True),  # or slower, for good
        (with_canary(1300, seconds_apart=1.0), False),  # that may be a neighbour
        (with_canary(1000, references=(1000, 1000, 1200, 1200)), True),
        (with_canary(1000, references=(1000, 1000, 1050, 1050)), False),
        (calm(1000, 1001, 999, 1000, reference_ns=None), False),
        # processes of two epochs of the canary, of which the newer one is not established
        ([*calm(1000, 1001), *(run(*[piece(1000)] * 12, number=n, reference_ns=700, provisional=True) for n in (2, 3))], True),
        (calm(1000, 1001, 999, 1000, reference_ns=700, provisional=True), False),
    ],
)
def test_a_reference_that_no_longer_fits(runs: list[Run], is_stale: bool) -> None:
    assert ("reference_stale" in flags(*runs)) is is_stale


@pytest.mark.parametrize(
    ("frequencies_khz", "is_throttled"),
    [
        ([(2_000_000, 2_000_000)] * 4, False),
        ([(2_000_000, 1_500_000)] + [(2_000_000, 2_000_000)] * 3, True),
        ([(800_000, 2_000_000)] * 4, False),  # it was idle before
        ([(None, 2_000_000)] * 3 + [(None, 1_700_000)], True),
        ([(None, None)] * 4, False),
        ([(2_000_000, None)] * 4, False),
    ],
)
def test_throttled(frequencies_khz: list[tuple[int | None, int | None]], is_throttled: bool) -> None:
    runs = [run(*[piece(1000)] * 12, number=n, frequencies_khz=pair) for n, pair in enumerate(frequencies_khz)]
    assert ("throttled" in flags(*runs)) is is_throttled


def test_what_was_true_while_sampling() -> None:
    found = sample(
        [run(piece(100, canary_ns=1050, cpu_ns=80), number=0), run(piece(100, canary_ns=2200), number=1, reference_ns=2000)]
    )
    assert found is not None
    assert canary_level(found) == pytest.approx((1.05 + 1.1) / 2)
    assert wall_over_cpu(found) == pytest.approx(200 / 180)


def test_what_cant_be_read_is_not_made_up() -> None:
    found = sample([run(piece(100, cpu_ns=0), reference_ns=None)])
    assert found is not None
    assert canary_level(found) is None
    assert wall_over_cpu(found) is None
    assert extremes([None, None]) == (None, None)
    assert extremes([None, 3.0, 1.5]) == (1.5, 3.0)


@pytest.mark.parametrize(
    ("starts_s", "said"),
    [
        ((0, 100, 200), "sitting"),
        ((0, 3000, 6000), "sitting"),
        ((0, 100, 90_000), "rounds of 2 sittings, pooled"),
        ((0, 10_000, 90_000), "rounds of 3 sittings, pooled"),
    ],
)
def test_an_interval_says_its_scope(starts_s: tuple[float, ...], said: str) -> None:
    found = sample([run(piece(100), number=n, started_s=start) for n, start in enumerate(starts_s)])
    assert found is not None
    assert scope(found) == said


def test_a_step_from_one_level_to_another_is_flagged_and_a_small_one_is_not() -> None:
    stepped = [1000 + n % 3 for n in range(6)] + [1060 + n % 3 for n in range(6)]
    assert "changed" in flags(*calm(*stepped))
    assert "changed" not in flags(*calm(*[1000 + n % 3 for n in range(6)], *[1010 + n % 3 for n in range(6)]))
    assert "changed" not in flags(*calm(*stepped[2:10]))


def test_processes_are_counted_to_their_sittings_in_whatever_order_they_come() -> None:
    day = 86_400.0
    starts_s = (day, 0.0, day + 9, 5.0)
    runs = [replace(each, started_s=at, ended_s=at + 1) for each, at in zip(calm(1000, 1001, 999, 1000), starts_s, strict=True)]
    found = sample(runs)
    assert found is not None
    by_start = {process.run.started_s: number for process, number in zip(found.processes, sittings_of(found), strict=True)}
    assert by_start == {0.0: 0, 5.0: 0, day: 1, day + 9: 1}
    backwards = replace(found, processes=found.processes[::-1])
    again = {p.run.started_s: number for p, number in zip(backwards.processes, sittings_of(backwards), strict=True)}
    assert again == by_start


RISING = [1000 + number for number in range(18)]


@pytest.mark.parametrize("levels", [[1100] * 6 + RISING, [1000] * 6 + [2100 - level for level in RISING]])
def test_a_step_is_a_change_whether_it_goes_up_or_down(levels: list[int]) -> None:
    """With a slope against it, so that it's no trend."""
    assert trend_p_value(levels) > 0.05
    assert "changed" in flags(*calm(*levels))


@pytest.mark.parametrize("slowed", [1.0, 1.3])
def test_the_interval_of_contended_slices_reaches_down_to_where_the_quiet_latency_may_be(slowed: float) -> None:
    """The quiet machine may be as much faster as the canary showed, and operators slow down by more than it does."""
    loud = [piece(1000, quiet=False, canary_ns=round(slowed * REFERENCE_NS))] * 12
    found = sample([run(*loud, number=n) for n in range(4)])
    assert found is not None
    assert found.statistic == "p25_contended"
    interval = summarize(found).interval
    assert interval.low < 1000 / slowed * (1.0 if slowed > 1 else 1.001)
    assert interval.high >= 1000
