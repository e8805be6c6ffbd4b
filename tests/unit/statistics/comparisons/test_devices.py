"""Device effects: what is put in must come out, with errors that are as large as they say."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm.statistics.comparisons.devices import (
    DeviceEstimate,
    DeviceFit,
    anchored,
    corrected,
    disagreements,
    fit_devices,
    over_devices,
)

UNITS = ("u1", "u2", "u3", "u4")
Table = dict[str, dict[str, DeviceEstimate]]

effects_of = st.lists(st.floats(-0.2, 0.2), min_size=2, max_size=4)
operators_of = st.lists(st.floats(1e3, 1e8), min_size=3, max_size=8)


def table(effects: Mapping[str, float], operators: list[float], *, noise: float = 0.0, seed: int = 0) -> Table:
    random = np.random.default_rng(seed)
    return {
        f"op{number}": {
            device: DeviceEstimate(estimate_ns * math.exp(effect + noise * random.standard_normal()), noise, 7.0)
            for device, effect in effects.items()
        }
        for number, estimate_ns in enumerate(operators)
    }


def fitted(levels: Mapping[str, Mapping[str, DeviceEstimate]]) -> DeviceFit:
    found = fit_devices(levels)
    assert found is not None
    return found


@given(effects_of, operators_of)
def test_without_noise_the_effects_and_operators_come_out(effects: list[float], operators: list[float]) -> None:
    truth = dict(zip(UNITS, effects, strict=False))
    mean = sum(truth.values()) / len(truth)
    fit = fitted(table(truth, operators))
    for device, effect in truth.items():
        assert fit.effects[device] == pytest.approx(effect - mean, abs=1e-9)
    for number, estimate_ns in enumerate(operators):
        assert fit.operators[f"op{number}"] == pytest.approx(math.log(estimate_ns) + mean)
    assert fit.spread == pytest.approx(math.exp(max(effects) - min(effects)) - 1, abs=1e-9)
    assert fit.variance == pytest.approx(0, abs=1e-12)


@given(effects_of, operators_of, st.randoms(use_true_random=False))
def test_a_missing_cell_biases_nothing(effects: list[float], operators: list[float], random: object) -> None:
    """The operator that a slow device lacks must not make this device look fast."""
    truth = dict(zip(UNITS, effects, strict=False))
    levels = table(truth, [*operators, 1e9])
    device = random.choice(list(truth))  # type: ignore[attr-defined]
    del levels[f"op{len(operators)}"][device]
    mean = sum(truth.values()) / len(truth)
    assert fitted(levels).effects == {u: pytest.approx(e - mean, abs=1e-9) for u, e in truth.items()}


@given(effects_of, operators_of, st.integers(0, 999))
def test_effects_add_up_to_zero_and_so_do_the_residuals_of_each_device_and_operator(
    effects: list[float], operators: list[float], seed: int
) -> None:
    fit = fitted(table(dict(zip(UNITS, effects, strict=False)), operators, noise=0.05, seed=seed))
    assert sum(fit.effects.values()) == pytest.approx(0, abs=1e-9)
    for position in (0, 1):
        sums: dict[str, float] = {}
        for names, residual in fit.residuals.items():
            sums[names[position]] = sums.get(names[position], 0.0) + residual
        assert all(value == pytest.approx(0, abs=1e-9) for value in sums.values())


@given(st.floats(0.5, 2.0), st.integers(0, 99))
def test_a_faster_clock_for_all_changes_no_effect(factor: float, seed: int) -> None:
    levels = table(dict.fromkeys(UNITS, 0.0), [1e4, 1e5, 1e6, 1e7], noise=0.03, seed=seed)
    scaled = {
        name: {device: DeviceEstimate(level.estimate * factor, level.log_error) for device, level in found.items()}
        for name, found in levels.items()
    }
    again = fitted(scaled)
    assert again.effects == {device: pytest.approx(effect, abs=1e-9) for device, effect in fitted(levels).effects.items()}


def test_the_standard_errors_of_the_balanced_layout_are_the_textbooks() -> None:
    """Variance of an effect: sigma^2 * (devices - 1) / (devices * operators)."""
    fit = fitted(table({"u1": 0.1, "u2": 0.0, "u3": -0.1}, [1e4, 1e5, 1e6, 1e7, 1e8], noise=0.02))
    assert fit.df == (3 - 1) * (5 - 1)
    assert fit.weights == {device: pytest.approx(2 / 15) for device in UNITS[:3]}
    assert fit.own == (pytest.approx(0.02**2), pytest.approx(15 * 7))
    assert fit.effect_variance("u2") == pytest.approx((0.02**2 + fit.interactions["u2"][0]) * 2 / 15)
    mine = sum(residual**2 for (_, device), residual in fit.residuals.items() if device == "u2") * 3 / 2
    assert fit.interactions["u2"] == (pytest.approx(max(0.0, (mine + fit.variance) / 5 - 0.02**2)), 5.0)
    assert sum(value for value, _ in fit.operator_parts["op0"]) == pytest.approx(max(fit.variance, 0.02**2) / 3)


def test_an_odd_device_is_told_by_its_own_residuals() -> None:
    """Where one device's operators scatter, its intervals are wide, and those of the others, that agree, are not."""
    odd = [1.0, 1.06, 0.95, 1.05, 0.94, 1.0]
    levels = {
        f"op{at}": {device: DeviceEstimate(1e5 * (factor if device == "u1" else 1.0), 0.001) for device in UNITS[:4]}
        for at, factor in enumerate(odd)
    }
    fit = fitted(levels)
    assert fit.interactions["u1"][0] > 4 * fit.interactions["u2"][0] > 0
    lone = DeviceEstimate(1e5, 0.001)
    wide, narrow = (corrected(lone, device, fit, confidence=0.95).relative_half_width for device in ("u1", "u2"))
    assert wide > 2 * narrow


def test_a_part_that_happens_to_be_small_does_not_lend_its_degrees_of_freedom() -> None:
    """Two devices and three anchors leave two degrees of freedom: t = 4.3, however little of the variance is their share."""
    levels = {
        f"op{at}": {"u1": DeviceEstimate(1e5 * math.exp(e), 1e-6), "u2": DeviceEstimate(1e5, 1e-6)}
        for at, e in enumerate((0.0, 0.01, 0.02))
    }
    fit = fitted(levels)
    found = corrected(DeviceEstimate(1e5, 1e-6, 7.0), "u1", fit, confidence=0.95)
    of_one = (1 + fit.weights["u1"]) * fit.interactions["u1"][0]
    assert math.log(found.high / found.estimate) == pytest.approx(4.302653 * math.sqrt(of_one), rel=1e-3)


def test_intervals_of_corrected_entries_cover_the_truth_as_often_as_they_say() -> None:
    """1000 pools of 3 devices, 8 anchors: the truth of an entry that one device measured lies inside 95 % of the intervals."""
    truth = {"u1": 0.06, "u2": -0.01, "u3": -0.05}
    inside = of_anchor = 0
    for seed in range(1000):
        fit = fitted(table(truth, [1e4 * 3**n for n in range(8)], noise=0.01, seed=seed))
        random = np.random.default_rng(10_000 + seed)
        lone = DeviceEstimate(5e5 * math.exp(truth["u1"] + 0.01 * random.standard_normal()), 0.01, 200.0)
        found = corrected(lone, "u1", fit, confidence=0.95)
        inside += found.low <= 5e5 <= found.high
        anchor = anchored("op0", fit, confidence=0.95)
        of_anchor += anchor.low <= 1e4 <= anchor.high
    assert 925 <= inside <= 985
    assert 935 <= of_anchor <= 995


def test_with_few_anchors_the_entries_of_many_pools_are_covered_though_those_of_one_may_not_be() -> None:
    """300 pools of 3 devices with 6 anchors and 12 entries that one device measured; operators differ by 0.2 % around effects.

    Entries of one pool share its device effects' errors, so that one pool in fifty covers 12 of 18 or fewer: only many say
    whether the intervals are right.
    """
    truth: dict[str, float] = {"u1": 0.03, "u2": -0.04, "u3": 0.01}
    inside: list[int] = []
    for seed in range(300):
        full = table(truth, [1e5] * 18, noise=0.002, seed=seed)
        levels = {
            name: {
                device: DeviceEstimate(found[device].estimate, 0.0005, 7.0)
                for device in (UNITS[:3] if number < 6 else [UNITS[number % 3]])
            }
            for number, (name, found) in enumerate(full.items())
        }
        fit = fitted(levels)
        intervals = [
            anchored(name, fit, confidence=0.95)
            if name in fit.operators
            else corrected(*next((level, device) for device, level in found.items()), fit, confidence=0.95)
            for name, found in levels.items()
        ]
        inside.append(sum(found.low <= 1e5 <= found.high for found in intervals))
    assert 0.92 <= sum(inside) / (300 * 18) <= 0.97
    assert min(inside) < 14 < max(inside)


def test_a_corrected_interval_is_wider_than_the_devices_own() -> None:
    fit = fitted(table({"u1": 0.05, "u2": -0.05}, [1e4, 1e5, 1e6, 1e7], noise=0.02))
    own = DeviceEstimate(1e5, 0.005, 7.0)
    found = corrected(own, "u1", fit, confidence=0.95)
    assert found.estimate == pytest.approx(1e5 * math.exp(-fit.effects["u1"]))
    assert found.spread**2 == pytest.approx(0.005**2 + fit.effect_variance("u1") + fit.interactions["u1"][0])


def test_the_mean_over_devices_is_student_t_over_devices() -> None:
    levels = [DeviceEstimate(100.0, 0.0), DeviceEstimate(110.0, 0.0), DeviceEstimate(121.0, 0.0)]
    found = over_devices(levels, confidence=0.95)
    assert found.estimate == pytest.approx(110.0)
    assert found.spread == pytest.approx(math.log(1.1))
    assert math.log(found.high / 110) == pytest.approx(4.302653 * math.log(1.1) / math.sqrt(3), rel=1e-5)


def test_devices_that_agree_by_chance_are_no_more_precise_than_their_estimates() -> None:
    found = over_devices([DeviceEstimate(100.0, 0.02), DeviceEstimate(100.0, 0.02)], confidence=0.95)
    assert found.spread == 0
    assert math.log(found.high / 100) == pytest.approx(12.7062 * 0.02 / math.sqrt(2), rel=1e-4)


@pytest.mark.parametrize(
    "levels",
    [
        {},
        {"a": {"u1": DeviceEstimate(1.0, 0.1)}, "b": {"u1": DeviceEstimate(2.0, 0.1)}},
        {"a": {"u1": DeviceEstimate(1.0, 0.1), "u2": DeviceEstimate(1.0, 0.1)}},
        {
            n: {u: DeviceEstimate(1.0, 0.1) for u in pair}
            for n, pair in {"a": ("u1", "u2"), "b": ("u1", "u2"), "c": ("u3", "u4"), "d": ("u3", "u4")}.items()
        },
    ],
    ids=["nothing", "one device", "no error left", "two islands"],
)
def test_what_can_not_be_told_is_not_told(levels: Mapping[str, Mapping[str, DeviceEstimate]]) -> None:
    assert fit_devices(levels) is None


def test_a_chain_of_devices_is_enough() -> None:
    truth = {"u1": 0.1, "u2": 0.0, "u3": -0.1}
    levels = table(truth, [1e4, 1e5, 1e6, 1e7])
    for name, device in (("op0", "u1"), ("op1", "u1"), ("op2", "u3"), ("op3", "u3")):
        del levels[name][device]
    assert fitted(levels).effects == {device: pytest.approx(effect, abs=1e-9) for device, effect in truth.items()}


def test_devices_that_differ_are_named_with_their_factors() -> None:
    fit = fitted(table({"cold": -0.1, "hot": 0.1}, [1e4, 1e5, 1e6]))
    (said,) = disagreements(fit, 0.10)
    assert "22.1 %" in said
    assert "cold x0.905" in said
    assert "hot x1.105" in said
    assert disagreements(fit, 0.23) == []


def test_an_anchor_on_which_devices_differ_otherwise_than_elsewhere_is_named() -> None:
    levels = table({"u1": 0.0, "u2": 0.0}, [1e4, 1e5, 1e6, 1e7, 1e8, 1e9])
    levels["op3"]["u2"] = DeviceEstimate(levels["op3"]["u2"].estimate * 1.3, 0.0)
    fit = fitted(levels)
    (said,) = disagreements(fit, 0.10)
    assert "op3" in said
    assert "u2 and u1" in said
    assert disagreements(fit, 0.40) == []


def test_the_error_of_an_operator_that_a_device_lacks_is_that_of_least_squares() -> None:
    """The same by the design matrix: a column for each operator, and the device effects in a basis whose sums are 0."""
    scattered = table(dict.fromkeys(UNITS, 0.0), [1e5, 2e5, 3e5, 4e5], noise=0.05)
    levels = {
        operator: {device: DeviceEstimate(level.estimate, 0.01, 7.0) for device, level in found.items()}
        for operator, found in scattered.items()
    }
    first, second = list(levels)[:2]
    del levels[first]["u4"], levels[second]["u1"], levels[second]["u2"]
    fit = fitted(levels)
    cells = [(operator, device) for operator, found in levels.items() for device in found]
    effects = np.array([[device == other for other in UNITS] for _, device in cells], dtype=float)
    basis = np.vstack([np.eye(3), -np.ones(3)])
    operators = np.array([[operator == other for other in levels] for operator, _ in cells], dtype=float)
    design = np.hstack([operators, effects @ basis])
    of_operators = np.diag(np.linalg.inv(design.T @ design))[: len(levels)]
    between = max(0.0, fit.variance - fit.own[0])
    assert between > 0
    for operator, expected in zip(levels, of_operators, strict=True):
        assert fit.operator_parts[operator][2][0] == pytest.approx(between * expected)
        assert fit.operator_parts[operator][1][0] == pytest.approx(fit.own[0] * (expected - 1 / len(levels[operator])))
