"""Pools of equal devices: how devices differ, and what a pool's latency is.  Pure.

The model is the two-way layout without interaction, log-latency = operator + device + error, by least squares
(H. Scheffe, The Analysis of Variance, Wiley 1959, chapter 4; unequal numbers of observations: S. R. Searle, Linear
Models, Wiley 1971, chapter 7).  Device effects add up to 0, so that an operator's term is its latency on the pool's
mean device: the geometric mean over the devices.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lutfarm.statistics.intervals.interval import PRIOR_DF, Interval
from lutfarm.statistics.intervals.quantiles import student_quantile

RANK_TOLERANCE = 1e-9
POOLED_DF = 1.0  # that all devices together weigh in what is said of one (benchmarks/pools.py)

Part = tuple[float, float]  # a variance, and its degrees of freedom


@dataclass(frozen=True, slots=True)
class DeviceEstimate:
    """One estimate on one device: in ns, with the standard error of its logarithm and that error's degrees of freedom."""

    estimate: float
    log_error: float
    df: float = PRIOR_DF


@dataclass(frozen=True, slots=True)
class DeviceFit:
    """What anchors say of devices; all values are of logarithms, so 0.05 is about 5 %.

    `effects` by device, above zero: slower than the mean device; `weights` by device: the variance of its effect over that of
    one observation; `operators`: by operator, on the mean device; `operator_parts`: what their variances consist of;
    `residuals` by (operator, device); `variance` of a residual with `df` degrees of freedom; `own`: what the anchors' own
    precision explains of it; `interactions`, by device: what it does not, which is by how much operators differ from their
    device's effect.
    """

    effects: Mapping[str, float]
    weights: Mapping[str, float]
    operators: Mapping[str, float]
    operator_parts: Mapping[str, tuple[Part, ...]]
    residuals: Mapping[tuple[str, str], float]
    variance: float
    df: int
    own: Part
    interactions: Mapping[str, Part]

    def effect_variance(self, device: str) -> float:
        """The square of the standard error of a device's effect."""
        return self.weights[device] * (self.own[0] + self.interactions[device][0])

    @property
    def spread(self) -> float:
        """The slowest device over the fastest, minus 1."""
        return math.expm1(max(self.effects.values()) - min(self.effects.values()))

    @property
    def between_devices(self) -> float:
        """The standard deviation of the effects."""
        return float(np.std(list(self.effects.values()), ddof=1))

    def anchor_spreads(self) -> dict[str, float]:
        """By operator: how far its devices lie apart once the device effects are taken out; ratio minus 1."""
        by_operator: dict[str, list[float]] = {}
        for (operator, _), residual in self.residuals.items():
            by_operator.setdefault(operator, []).append(residual)
        return {operator: math.expm1(max(values) - min(values)) for operator, values in by_operator.items()}


def _solved(
    shared: Mapping[str, Mapping[str, DeviceEstimate]], column_of: Mapping[str, int]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
    """The inverse of the normal equations, and the device effects; None where no chain of operators connects all devices."""
    laplacian, right = np.zeros((len(column_of), len(column_of))), np.zeros(len(column_of))
    for by_device in shared.values():
        at = np.array([column_of[device] for device in by_device])
        logs = np.log([estimate.estimate for estimate in by_device.values()])
        laplacian[np.ix_(at, at)] -= 1 / len(at)
        laplacian[at, at] += 1
        right[at] += logs - logs.mean()
    if np.linalg.matrix_rank(laplacian, tol=RANK_TOLERANCE * len(shared), hermitian=True) < len(column_of) - 1:
        return None
    # The sum of a connected Laplacian and a constant matrix is regular, and its inverse differs from the
    # pseudo-inverse, which is the one whose effects add up to 0, by that constant alone.
    constant = np.full_like(laplacian, 1 / len(column_of))
    inverse = np.linalg.inv(laplacian + constant) - constant
    effects = inverse @ right
    return inverse, effects - effects.mean()


def fit_devices(estimates: Mapping[str, Mapping[str, DeviceEstimate]]) -> DeviceFit | None:
    """The device effects from `estimates`, by operator and device; operators with one device say nothing and are left out.

    None where they can't be told: fewer than two devices, devices that no chain of operators connects, or nothing left over
    to estimate the error from.  The operators are eliminated first (Searle, section 7.1), which leaves a system as large
    as the number of devices: its matrix is a graph's Laplacian, singular by one for connected devices.
    """
    shared = {operator: by_device for operator, by_device in estimates.items() if len(by_device) > 1}
    devices = sorted({device for by_device in shared.values() for device in by_device})
    column_of = {device: index for index, device in enumerate(devices)}
    count = sum(len(by_device) for by_device in shared.values())
    df = count - len(shared) - (len(devices) - 1)
    if len(devices) < 2 or df < 1:
        return None
    solution = _solved(shared, column_of)
    if solution is None:
        return None
    inverse, effects = solution
    operators: dict[str, float] = {}
    residuals: dict[tuple[str, str], float] = {}
    for operator, by_device in shared.items():
        rest = {device: math.log(estimate.estimate) - float(effects[column_of[device]]) for device, estimate in by_device.items()}
        operators[operator] = sum(rest.values()) / len(rest)
        residuals |= {(operator, device): value - operators[operator] for device, value in rest.items()}
    variance = sum(residual**2 for residual in residuals.values()) / df
    own = _mean([(estimate.log_error**2, estimate.df) for by_device in shared.values() for estimate in by_device.values()])
    interaction = max(0.0, variance - own[0])
    parts: dict[str, tuple[Part, ...]] = {}
    for operator, by_device in shared.items():
        at = np.array([column_of[device] for device in by_device])
        noise, noise_df = _mean([(estimate.log_error**2, estimate.df) for estimate in by_device.values()])
        of_effects = max(float(inverse[np.ix_(at, at)].sum()) / len(at) ** 2, 0.0)  # those of all devices add up to nothing
        parts[operator] = (
            (noise / len(at), noise_df),
            (own[0] * of_effects, own[1]),
            (interaction * (1 / len(at) + of_effects), df),
        )
    return DeviceFit(
        effects={device: float(effects[index]) for device, index in column_of.items()},
        weights={device: float(inverse[index, index]) for device, index in column_of.items()},
        operators=operators,
        operator_parts=parts,
        residuals=residuals,
        variance=variance,
        df=df,
        own=own,
        interactions={device: _interaction(device, shared, residuals, own[0], variance, df) for device in column_of},
    )


def _mean(parts: Sequence[Part]) -> Part:
    """The mean of variances, with Satterthwaite's degrees of freedom (Biometrics Bulletin 2 (1946) 110-114)."""
    total = sum(value for value, _ in parts)
    squares = sum(value**2 / df for value, df in parts)
    return total / len(parts), total**2 / squares if squares else math.inf


def _interaction(
    device: str,
    shared: Mapping[str, Mapping[str, DeviceEstimate]],
    residuals: Mapping[tuple[str, str], float],
    own: float,
    variance: float,
    df: int,
) -> Part:
    """By how much operators differ from one device's effect: by its own residuals, and a little by all devices' together.

    One device may be odd where the others are alike (another cooler): by a common variance its intervals held the truth of 69 %.
    A residual of an operator on n devices has 1 - 1/n of the variance.
    """
    squares = [
        residuals[operator, device] ** 2 / (1 - 1 / len(by_device))
        for operator, by_device in shared.items()
        if device in by_device
    ]
    own_df = len(squares) - 1
    moderated = (sum(squares) + POOLED_DF * variance) / (own_df + POOLED_DF)
    return max(0.0, moderated - own), min(own_df + POOLED_DF, float(df))


def corrected(estimate: DeviceEstimate, device: str, fit: DeviceFit, *, confidence: float) -> Interval:
    """One device's estimate as the pool's mean device would have it.

    Its variance is the sum of three: the estimate's own, what of the device effect's the anchors' precision explains, and
    that of operators around it, of which this one and the effect have a share.
    """
    weight = fit.weights[device]
    own, (interaction, df) = fit.own, fit.interactions[device]
    parts = [(estimate.log_error**2, estimate.df), (weight * own[0], own[1]), ((1 + weight) * interaction, df)]
    middle = math.log(estimate.estimate) - fit.effects[device]
    return _interval(middle, parts, confidence)


def anchored(operator: str, fit: DeviceFit, *, confidence: float) -> Interval:
    """An anchor's latency on the pool's mean device."""
    return _interval(fit.operators[operator], fit.operator_parts[operator], confidence)


def over_devices(estimates: Sequence[DeviceEstimate], *, confidence: float) -> Interval:
    """The geometric mean over two or more devices, with Student's t over devices: a promise for devices of this kind.

    `spread` is the standard deviation of the logarithms between devices.  It is not moderated by other entries, as that
    between processes is: a slow device is slow at all of them, so they are no independent witnesses of the devices' spread.
    The interval is never narrower than what the estimates' own precision gives.
    """
    logs = np.log([estimate.estimate for estimate in estimates])
    between = float(np.var(logs, ddof=1))
    own = sum(estimate.log_error**2 for estimate in estimates) / len(estimates) ** 2
    variance = max(between / len(estimates), own)
    interval = _interval(float(logs.mean()), [(variance, len(estimates) - 1.0)], confidence)
    return Interval(interval.estimate, interval.low, interval.high, math.sqrt(between))


def disagreements(fit: DeviceFit, max_spread: float) -> list[str]:
    """Why devices may not be merged, in words; empty where all differ by at most `max_spread`."""
    said: list[str] = []
    if fit.spread > max_spread:
        factors = ", ".join(f"{device} x{math.exp(effect):.3f}" for device, effect in _by_effect(fit.effects.items()))
        said.append(f"the devices differ by {100 * fit.spread:.1f} % ({factors} of the mean device)")
    worst = [(spread, operator) for operator, spread in fit.anchor_spreads().items() if spread > max_spread]
    if worst:
        spread, operator = max(worst)
        by_device = {device: value for (name, device), value in fit.residuals.items() if name == operator}
        slow, fast = max(by_device, key=by_device.__getitem__), min(by_device, key=by_device.__getitem__)
        said.append(
            f"beyond their device effects {slow} and {fast} differ by {100 * spread:.1f} % in {operator}"
            + (f", and devices differ too much in {len(worst) - 1} more" if len(worst) > 1 else "")
        )
    return said


def _by_effect(effects: Iterable[tuple[str, float]]) -> list[tuple[str, float]]:
    return sorted(effects, key=lambda pair: (pair[1], pair[0]))


def _interval(middle: float, parts: Sequence[Part], confidence: float) -> Interval:
    """Each part with its own quantile (W. G. Cochran and G. M. Cox, Experimental Designs, 2nd edition, Wiley 1957, section 4.14).

    One number of degrees of freedom for their sum (Satterthwaite's) is too large where a part of two happens to be small.
    """
    variance = sum(value for value, _ in parts)
    half = math.sqrt(sum(student_quantile(df, 0.5 + confidence / 2) ** 2 * value for value, df in parts if value > 0))
    # Exponentials round: the estimate stays inside.
    return Interval(math.exp(middle), math.exp(middle - half), math.exp(middle + half), math.sqrt(variance))
