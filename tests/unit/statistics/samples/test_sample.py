"""From runs to process-level samples."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.lut_kit import piece, run

from lutfarm.statistics import common_share, process_estimate_ns, sample, summarize
from lutfarm.statistics.samples.correlation import effective_size
from lutfarm_jobs.run import Failure, Run

times = st.lists(st.integers(1, 10**9), min_size=1, max_size=20)


def test_a_process_is_the_25th_percentile_of_its_quiet_iterations() -> None:
    one = run(piece(10, 20, 30), piece(40, 50), piece(1, 1, 1, quiet=False))
    assert process_estimate_ns(one) == pytest.approx(50 / 3)  # the (5 + 1/3) / 4 + 1/3 = 1.67th smallest


def test_a_swept_process_is_the_10th_percentile_of_all_iterations() -> None:
    slices = [piece(value, gated=False, quiet=value % 2 == 0) for value in range(0, 101, 10) if value]
    assert process_estimate_ns(run(*slices)) == pytest.approx(41 / 3)


@pytest.mark.parametrize("slices", [(), (piece(5, quiet=False),), (piece(),)])
def test_a_process_without_quiet_iterations_says_nothing(slices: tuple) -> None:
    assert process_estimate_ns(run(*slices)) is None


def test_processes_are_averaged_in_log() -> None:
    found = sample([run(piece(100), number=0), run(piece(400), number=1)])
    assert found is not None
    assert found.statistic == "p25_quiet"
    assert found.estimates == (100.0, 400.0)
    assert summarize(found).interval.estimate == pytest.approx(200.0)


@pytest.mark.parametrize("runs", [[], [run()], [run(failure=Failure("OutOfMemory", "x"))], [run(piece())]])
def test_no_iteration_no_sample(runs: list[Run]) -> None:
    assert sample(runs) is None


def test_a_process_without_a_quiet_slice_does_not_count_where_others_have_one() -> None:
    found = sample([run(piece(100), number=0), run(piece(170, quiet=False), number=1, rejected=12)])
    assert found is not None
    assert found.estimates == (100.0,)
    assert found.contended_median == 170
    assert found.slices_rejected == 12
    assert found.runs_left_out == 1


def test_where_nothing_was_quiet_the_contended_slices_stand_in_and_the_interval_reaches_over_them_all() -> None:
    found = sample([run(piece(150, 160, 400, quiet=False), number=n, rejected=12) for n in range(4)])
    assert found is not None
    assert found.statistic == "p25_contended"
    summary = summarize(found)
    assert summary.interval.low <= 150
    assert summary.interval.high >= 400
    assert {"no_quiet_window", "contended", "not_precise"} <= set(summary.flags)
    assert "converged" not in summary.flags


def test_only_the_newest_fingerprint_counts() -> None:
    old, new = {"runtime": "onnxruntime 1.20"}, {"runtime": "onnxruntime 1.21"}
    found = sample([run(piece(50), number=0, fingerprint=old), run(piece(90), number=1, fingerprint=new)])
    assert found is not None
    assert found.estimates == (90.0,)
    assert found.runs_left_out == 1


@pytest.mark.parametrize(("kept", "counts"), [(12, True), (6, True), (5, False), (1, False)])
def test_a_truncated_run_counts_from_half_of_a_complete_one_on(kept: int, counts: bool) -> None:
    whole = run(*[piece(100)] * 12, number=0)
    cut = run(*[piece(110)] * kept, number=1, status="truncated")
    found = sample([whole, cut])
    assert found is not None
    assert found.estimates == ((100.0, 110.0) if counts else (100.0,))
    assert found.runs_left_out == (0 if counts else 1)


def test_truncated_runs_alone_are_what_there_is() -> None:
    short = run(piece(100), number=0, status="truncated")
    found = sample([short, run(*[piece(120)] * 9, number=1, status="truncated")])
    assert found is not None
    assert found.estimates == (100.0, 120.0)


def test_one_slice_that_was_not_gated_makes_the_whole_measurement_swept() -> None:
    found = sample([run(piece(100, 200), number=0), run(piece(100, 200, gated=False), number=1)])
    assert found is not None
    assert found.statistic == "p10_swept"
    assert found.estimates == (100.0, 100.0)


def test_the_figures_of_the_iterations() -> None:
    found = sample([run(piece(10, 20, 30, 40), number=0), run(piece(10, 10, 10, 10), piece(99, quiet=False), number=1)])
    assert found is not None
    looks = found.iterations
    pooled = np.array([10, 20, 30, 40, 10, 10, 10, 10], dtype=float)
    assert (looks.count, looks.min, looks.max, looks.mean) == (8, 10, 40, pooled.mean())
    assert (looks.median, looks.p25) == (10, 10)
    assert looks.p95 == pytest.approx(np.percentile(pooled, 95))
    assert looks.std == pytest.approx(pooled.std())
    assert looks.within_spread == pytest.approx(np.sqrt(((np.std([10, 20, 30, 40]) / 25) ** 2 + 0) / 2))


def test_a_truncated_run_never_said_how_much_it_rejected() -> None:
    found = sample([run(piece(1), piece(2, quiet=False), piece(2, quiet=False), status="truncated", rejected=0)])
    assert found is not None
    assert found.slices_rejected == 2


@given(st.lists(times, min_size=1, max_size=5), st.integers(2, 1000))
def test_scaling_every_iteration_scales_every_figure(series: list[list[int]], factor: int) -> None:
    one = sample([run(piece(*values), number=n) for n, values in enumerate(series)])
    other = sample([run(piece(*(factor * v for v in values)), number=n) for n, values in enumerate(series)])
    assert one is not None
    assert other is not None
    for name in ("mean", "median", "p10", "p95", "std"):
        expected = factor * getattr(one.iterations, name)
        assert getattr(other.iterations, name) == pytest.approx(expected, rel=1e-9, abs=1e-6)
    first, second = summarize(one), summarize(other)
    assert second.interval.low == pytest.approx(factor * first.interval.low, rel=1e-9)
    assert second.flags == first.flags


@given(st.lists(times, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_neither_the_order_of_runs_nor_that_of_iterations_matters(series: list[list[int]], dice: Random) -> None:
    runs = [run(piece(*values), number=n) for n, values in enumerate(series)]
    mixed = [piece(*dice.sample(values, len(values))) for values in series]
    shuffled = [replace(one, slices=(slice_,)) for one, slice_ in zip(runs, mixed, strict=True)]
    dice.shuffle(shuffled)
    one, other = sample(runs), sample(shuffled)
    assert one is not None
    assert other is not None
    assert other.estimates_by_round == one.estimates_by_round
    assert summarize(other) == summarize(one)


@given(st.integers(1, 10**12), st.integers(1, 6), st.integers(1, 30))
def test_where_every_iteration_takes_the_same_that_is_the_estimate(value: int, processes: int, count: int) -> None:
    found = sample([run(piece(*[value] * count), number=n) for n in range(processes)])
    assert found is not None
    interval = summarize(found).interval
    assert interval.estimate == pytest.approx(value, rel=1e-9)
    assert interval.low < value < interval.high
    assert found.iterations.std == pytest.approx(0.0, abs=1e-9 * value)
    assert found.iterations.effective == processes * count


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.8])
def test_correlated_iterations_are_worth_less(correlation: float) -> None:
    """An autoregressive series of n values is worth n (1 - r) / (1 + r)."""
    dice = np.random.default_rng(11)
    series = np.empty(20_000)
    series[0] = 0.0
    for at, noise in enumerate(dice.normal(size=len(series) - 1), start=1):
        series[at] = correlation * series[at - 1] + noise
    expected = len(series) * (1 - correlation) / (1 + correlation)
    assert effective_size(series + 100) == pytest.approx(expected, rel=0.15)


@given(times)
def test_the_effective_size_is_between_one_and_all(values: list[int]) -> None:
    assert 1 <= effective_size(np.array(values, dtype=float)) <= len(values)


def levels(shift: float, own: float, entries: int = 40, rounds: int = 8) -> list[list[tuple[str, float]]]:
    dice = np.random.default_rng(5)
    common = dice.normal(0, shift, rounds)
    return [[(f"r{j}", float(np.exp(5 + common[j] + dice.normal(0, own)))) for j in range(rounds)] for _ in range(entries)]


@pytest.mark.parametrize(("shift", "own", "share"), [(0.0, 0.02, 0.0), (0.02, 0.02, 0.5), (0.02, 1e-9, 1.0)])
def test_what_processes_shift_together_is_told_from_the_rest(shift: float, own: float, share: float) -> None:
    """Eight rounds tell a standard deviation to about 25 %, and a share of variance no better."""
    spread = float(np.hypot(shift, own))
    assert common_share(levels(shift, own), [spread] * 40) == pytest.approx(share, abs=0.2)


@pytest.mark.parametrize(
    "few",
    [[], levels(0.01, 0.01, entries=4), levels(0.01, 0.01, rounds=2), [[("r0", 5.0)]] * 10, [[("r0", 5.0), ("r1", 5.0)]] * 9],
)
def test_what_cant_be_told_is_taken_for_common(few: list[list[tuple[str, float]]]) -> None:
    assert common_share(few, [0.01] * len(few)) == 1.0


@pytest.mark.parametrize(
    ("step_ns", "block", "quantum_ns"), [(1000, 1, 1000.0), (1000, 4, 250.0), (1000, 40, 0.0), (1, 1, 0.0), (None, 1, 0.0)]
)
def test_the_interval_holds_what_a_coarse_clock_hides(step_ns: int | None, block: int, quantum_ns: float) -> None:
    pieces = [replace(piece(2500, 2510, 2490), block=block) for _ in range(12)]
    fine = sample([run(*pieces, number=n) for n in range(4)])
    found = sample([replace(run(*pieces, number=n), clock_step_ns=step_ns) for n in range(4)])
    assert fine is not None
    assert found is not None
    before, after = summarize(fine), summarize(found)
    assert after.interval.estimate == before.interval.estimate
    assert after.interval.high == pytest.approx(before.interval.high + quantum_ns)
    assert 0 < after.interval.low <= before.interval.low
    assert ("converged" in after.flags) is (quantum_ns == 0)
