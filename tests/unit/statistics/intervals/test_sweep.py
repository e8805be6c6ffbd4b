"""Networks swept in several processes: the common shift of each process is taken out."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm.statistics import moderated_interval
from lutfarm.statistics.intervals.sweep import common_part, fit_sweep, halves, widened

Levels = dict[str, dict[str, float]]


def synthetic(
    seed: int, networks: int = 20, processes: int = 7, *, shift: float = 0.05, noise: float = 0.004, missing: float = 0.0
) -> tuple[Levels, dict[str, float], dict[str, float]]:
    dice = random.Random(seed)
    truth = {f"n{i:02}": 1e6 * math.exp(dice.uniform(0, 3)) for i in range(networks)}
    shifts = {f"p{j}": dice.gauss(0, shift) for j in range(processes)}
    levels = {
        name: {
            process: ns * math.exp(effect + dice.gauss(0, noise))
            for process, effect in shifts.items()
            if dice.random() >= missing
        }
        for name, ns in truth.items()
    }
    return levels, truth, shifts


def log_errors(fit, truth: dict[str, float]) -> np.ndarray:
    """Relative to the mean over networks: the common level can't be told from the processes' mean."""
    errors = np.array([fit.networks[name] - math.log(ns) for name, ns in truth.items()])
    return errors - errors.mean()


def test_shifts_of_processes_vanish() -> None:
    levels, truth, shifts = synthetic(1)
    fit = fit_sweep(levels)
    assert fit is not None
    assert np.sqrt(np.mean(log_errors(fit, truth) ** 2)) < 0.003
    middle = np.mean(list(shifts.values()))
    for process, effect in shifts.items():
        assert fit.processes[process] == pytest.approx(effect - middle, abs=0.004)
    assert fit.scale == pytest.approx(0.004, rel=0.4)
    assert math.sqrt(fit.process_variance) == pytest.approx(np.std(list(shifts.values()), ddof=1), rel=0.1)
    assert fit.common_variance == pytest.approx(fit.process_variance / 7)


def test_missing_cells_do_not_bias_a_network_that_only_met_slow_processes() -> None:
    levels, truth, shifts = synthetic(2, noise=0.0)
    slowest = sorted(shifts, key=shifts.__getitem__)[-2:]
    levels["n00"] = {process: levels["n00"][process] for process in slowest}
    fit = fit_sweep(levels)
    assert fit is not None
    assert np.max(np.abs(log_errors(fit, truth))) < 1e-3
    plain = np.mean([math.log(ns) for ns in levels["n00"].values()]) - math.log(truth["n00"])
    assert plain - np.mean(list(shifts.values())) > 0.03


def test_a_slow_spell_in_one_process_does_not_move_the_others() -> None:
    levels, truth, shifts = synthetic(3)
    for name in ("n03", "n07", "n11"):
        levels[name]["p2"] *= 1.5
    fit = fit_sweep(levels)
    assert fit is not None
    middle = np.mean(list(shifts.values()))
    assert fit.processes["p2"] == pytest.approx(shifts["p2"] - middle, abs=0.006)
    assert np.max(np.abs(log_errors(fit, truth))) < 0.02


def test_errors_are_those_of_networks_beside_each_other() -> None:
    scores: list[float] = []
    for seed in range(40):
        levels, truth, _ = synthetic(100 + seed, missing=0.3)
        levels = {name: by for name, by in levels.items() if len(by) > 1}
        truth = {name: ns for name, ns in truth.items() if name in levels}
        fit = fit_sweep(levels)
        assert fit is not None
        scores += (log_errors(fit, truth) / np.array([fit.errors[name] for name in truth])).tolist()
    assert 0.8 < np.sqrt(np.mean(np.square(scores))) < 1.25


def test_a_network_whose_rounds_disagree_is_known_worse_than_the_others() -> None:
    levels, _, _ = synthetic(6)
    for process in ("p1", "p3", "p4"):
        levels["n05"][process] *= 1.4
    fit = fit_sweep(levels)
    assert fit is not None
    others = [error for name, error in fit.errors.items() if name != "n05"]
    assert fit.errors["n05"] > 5 * max(others)
    assert max(others) < 0.004


def test_two_parts_that_share_no_process_are_each_fitted() -> None:
    first, _, _ = synthetic(4, networks=6, processes=3)
    second, _, _ = synthetic(5, networks=6, processes=3)
    both = first | {f"m{name}": {f"q{p}": ns for p, ns in by.items()} for name, by in second.items()}
    fit = fit_sweep(both)
    assert fit is not None
    assert sum(fit.processes[f"p{j}"] for j in range(3)) == pytest.approx(0, abs=1e-9)
    assert sum(fit.processes[f"qp{j}"] for j in range(3)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    "levels",
    [
        {},
        {"a": {"p": 1.0, "q": 2.0, "r": 3.0}},
        {f"n{i}": {"p": 1.0, "q": 2.0} for i in range(9)},
        {f"n{i}": {f"p{i}": 1.0} for i in range(9)},
    ],
)
def test_too_little_is_no_fit(levels: Levels) -> None:
    assert fit_sweep(levels) is None


def test_equal_samples_give_equal_networks() -> None:
    fit = fit_sweep({f"n{i}": dict.fromkeys(("p", "q", "r"), 1000.0) for i in range(6)})
    assert fit is not None
    assert fit.estimate("n3") == pytest.approx(1000.0)
    assert fit.process_variance == 0.0


@given(st.integers(0, 10_000), st.sampled_from([0.5, 4.0, 1000.0]))
def test_units_do_not_matter(seed: int, factor: float) -> None:
    levels, _, _ = synthetic(seed, networks=6, processes=4, missing=0.2)
    one = fit_sweep(levels)
    other = fit_sweep({name: {p: factor * ns for p, ns in by.items()} for name, by in levels.items()})
    assert (one is None) == (other is None)
    if one and other:
        for name in one.networks:
            assert other.estimate(name) == pytest.approx(factor * one.estimate(name), rel=1e-6)


def test_halves_differ_by_noise_alone() -> None:
    levels, _, _ = synthetic(6, networks=40, processes=8, shift=0.06, noise=0.004)
    first, second = halves(levels)
    assert list(first) == list(second) == list(levels)
    apart = np.array([first[name] / second[name] - 1 for name in first])
    assert 0.001 < np.mean(np.abs(apart)) < 0.006
    assert halves({"a": {"p": 1.0}}) == ({}, {})


def test_the_interval_of_an_entry_has_the_mean_process_in_it() -> None:
    levels, _, _ = synthetic(7)
    fit = fit_sweep(levels)
    assert fit is not None
    own = moderated_interval(list(fit.corrected["n05"].values()), prior_spread=0.004)
    wide = widened(own, fit, confidence=0.95)
    assert wide.estimate == own.estimate
    assert wide.relative_half_width > 3 * own.relative_half_width
    assert wide.relative_half_width == pytest.approx(2.447 * math.sqrt(fit.common_variance), rel=0.1)
    assert 0.9 < common_part(own, fit, 7) < 1


def test_processes_that_are_alike_have_no_variance_of_their_own() -> None:
    """What their effects seem to differ by is the networks' own noise, and is taken off."""
    fits = [fit_sweep(synthetic(seed, networks=8, shift=0.0, noise=0.02)[0]) for seed in range(60)]
    found = [fit.process_variance for fit in fits if fit is not None]
    raw = [float(np.var(list(fit.processes.values()), ddof=1)) for fit in fits if fit is not None]
    assert np.mean(found) < 0.6 * np.mean(raw)
    assert min(found) >= 0.0


def test_networks_that_were_measured_twice_tell_the_noise_and_those_measured_once_do_not() -> None:
    levels, _, _ = synthetic(8, networks=400, processes=3)
    pairs = (("p0", "p1"), ("p0", "p2"), ("p1", "p2"))
    twice = {name: {p: by[p] for p in pairs[at % 3]} for at, (name, by) in enumerate(levels.items())}
    once = {f"once {name}": {"p0": 3 * by["p0"]} for name, by in levels.items()}
    fit, with_once = fit_sweep(twice), fit_sweep(twice | once)
    assert fit is not None
    assert with_once is not None
    assert fit.scale == pytest.approx(0.004, rel=0.2)
    assert with_once.scale == pytest.approx(fit.scale, rel=1e-6)  # they fit exactly, whatever the noise is


def test_what_noise_alone_makes_of_the_processes_shifts_is_no_part_of_their_variance() -> None:
    """Shifts of .4 % under noise of 2 % per network: what 20 networks leave of it in a shift is taken off."""
    fits = [fit_sweep(synthetic(seed, shift=0.004, noise=0.02)[0]) for seed in range(60)]
    variances = [fit.process_variance for fit in fits if fit is not None]
    assert np.mean(variances) == pytest.approx(0.004**2, rel=0.5)
