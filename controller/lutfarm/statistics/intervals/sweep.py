"""Networks swept together: each one's latency once the shift that a whole process has is taken out.  Pure.

The model is the two-way layout without interaction, log-latency = network + process + error (H. Scheffe, The Analysis
of Variance, Wiley 1959, chapter 4), fitted by iteratively reweighted least squares with the weights of P. J. Huber,
"Robust estimation of a location parameter", Ann. Math. Statist. 35 (1964) 73-101: a network that met a slow spell in
one process must not move that process.  Process effects of networks that no chain of processes connects add up to 0
each for themselves, so a network is compared with those alone that share processes with it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lutfarm.statistics.intervals.interval import Interval
from lutfarm.statistics.intervals.quantiles import student_quantile
from lutfarm.statistics.samples.process import FloatArray

HUBER = 1.345  # 95 % efficient where errors are normal
MAD_TO_STD = 1.4826
ITERATIONS = 30
SETTLED = 1e-9
RANK_TOLERANCE = 1e-9
LEAST_PROCESSES = 3
LEAST_NETWORKS = 5
PRIOR_DF = 3.0  # how many degrees of freedom the scale counts for a network's own spread
SMALLEST_SCALE = 1e-5  # of the logarithm: a coarse clock's ties must not divide by zero


@dataclass(frozen=True, slots=True)
class SweepFit:
    """All values are of logarithms, so 0.05 is about 5 %.

    `networks`: each one's log-latency (of ns) on the mean process; `errors`: its standard error beside the others of the
    sweep; `processes`: the effect of each, above zero: slower than the mean process; `corrected`: each estimate without its
    process's effect; `process_variance`: between processes, without what the residuals explain of it; `scale`: the
    robust standard deviation of a residual.
    """

    networks: Mapping[str, float]
    errors: Mapping[str, float]
    processes: Mapping[str, float]
    corrected: Mapping[str, Mapping[str, float]]
    process_variance: float
    scale: float

    def estimate(self, network: str) -> float:
        """A network's latency on the mean process, in ns."""
        return math.exp(self.networks[network])

    @property
    def common_variance(self) -> float:
        """Of the logarithm of the mean over processes: what all networks share, and no number of networks averages out."""
        return self.process_variance / max(1, len(self.processes))


def fit_sweep(estimates_ns: Mapping[str, Mapping[str, float]]) -> SweepFit | None:
    """From process-level latencies in ns by network and process; None where the effects can't be told apart.

    At least LEAST_PROCESSES processes and LEAST_NETWORKS networks that were measured in two or more of them are needed.
    """
    shared = [name for name, by_process in estimates_ns.items() if len(by_process) > 1]
    names = [name for name, by_process in estimates_ns.items() if by_process]
    rounds = sorted({process for by_process in estimates_ns.values() for process in by_process})
    if len(shared) < LEAST_NETWORKS or len(rounds) < LEAST_PROCESSES:
        return None
    logs, weights = _table(estimates_ns, names, rounds)
    there = weights > 0
    effects = np.zeros(len(rounds))
    means = np.zeros(len(names))
    scale = SMALLEST_SCALE
    laplacian = np.zeros((len(rounds), len(rounds)))
    for _ in range(ITERATIONS):
        before = effects
        effects, means, laplacian = _fit(logs, weights)
        residuals = np.where(there, logs - means[:, None] - effects[None, :], 0.0)
        scale = _scale(residuals, there)
        with np.errstate(divide="ignore"):
            weights = np.where(there, np.minimum(1.0, HUBER * scale / np.abs(residuals)), 0.0)
        if np.max(np.abs(effects - before)) < SETTLED:
            break
    inverse = _pseudo_inverse(laplacian)
    shares = weights / weights.sum(axis=1, keepdims=True)
    own = _moderated(logs - means[:, None] - effects[None, :], weights, scale)
    variances = own * (1 / weights.sum(axis=1) + np.einsum("ip,pq,iq->i", shares, inverse, shares))
    explained = float(scale**2 * np.trace(inverse)) / len(rounds)
    between = float(np.sum(effects**2)) / max(1, len(rounds) - 1)
    return SweepFit(
        networks={name: float(mean) for name, mean in zip(names, means, strict=True)},
        errors={name: math.sqrt(max(0.0, float(variance))) for name, variance in zip(names, variances, strict=True)},
        processes={process: float(effect) for process, effect in zip(rounds, effects, strict=True)},
        corrected={
            name: {
                process: math.exp(float(logs[row, column] - effects[column]))
                for column, process in enumerate(rounds)
                if there[row, column]
            }
            for row, name in enumerate(names)
        },
        process_variance=max(0.0, between - explained),
        scale=scale,
    )


def widened(interval: Interval, fit: SweepFit, *, confidence: float) -> Interval:
    """An interval over corrected estimates with what the mean process itself is uncertain by: Student's t over processes."""
    if len(fit.processes) < 2 or fit.common_variance == 0:
        return interval
    quantile = student_quantile(len(fit.processes) - 1, 0.5 + confidence / 2)
    common = quantile * math.sqrt(fit.common_variance)
    middle = math.log(interval.estimate)
    below, above = middle - math.log(interval.low), math.log(interval.high) - middle
    spread = math.sqrt(interval.spread**2 + fit.process_variance)
    return Interval(
        interval.estimate, math.exp(middle - math.hypot(below, common)), math.exp(middle + math.hypot(above, common)), spread
    )


def common_part(interval: Interval, fit: SweepFit, processes: int) -> float:
    """Which share of an entry's variance its whole sweep has in common, 0 to 1; `interval` is that over corrected estimates."""
    own = interval.spread**2 / max(1, processes)
    total = own + fit.common_variance
    return fit.common_variance / total if total else 0.0


def halves(estimates_ns: Mapping[str, Mapping[str, float]]) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """The same networks from every other process: latencies in ns of those that both halves have.

    What one half says of the other is the noise ceiling: no prediction can be seen to be better.  Each half's common
    shift is its own, so the second is brought to the first's median ratio; a fit needs that of its table, too.
    """
    rounds = sorted({process for by_process in estimates_ns.values() for process in by_process})
    sides: list[dict[str, float]] = []
    for start in (0, 1):
        in_half = set(rounds[start::2])
        part = {name: {p: ns for p, ns in by.items() if p in in_half} for name, by in estimates_ns.items()}
        fit = fit_sweep(part)
        sides.append(
            {name: fit.estimate(name) for name in fit.networks}
            if fit
            else {name: float(np.exp(np.mean(np.log(list(by.values()))))) for name, by in part.items() if by}
        )
    both = [name for name in estimates_ns if name in sides[0] and name in sides[1]]
    if not both:
        return {}, {}
    shift = float(np.median([sides[0][name] / sides[1][name] for name in both]))
    return {name: sides[0][name] for name in both}, {name: sides[1][name] * shift for name in both}


def _table(estimates_ns: Mapping[str, Mapping[str, float]], names: list[str], rounds: list[str]) -> tuple[FloatArray, FloatArray]:
    """Logarithms, shape (networks, processes), and 1.0 where there is one, 0.0 where not."""
    column_of = {process: column for column, process in enumerate(rounds)}
    logs, there = np.zeros((len(names), len(rounds))), np.zeros((len(names), len(rounds)))
    for row, name in enumerate(names):
        for process, estimate_ns in estimates_ns[name].items():
            logs[row, column_of[process]] = math.log(estimate_ns)
            there[row, column_of[process]] = 1.0
    return logs, there


def _fit(logs: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Effects of processes, means of networks, and the matrix of the effects' normal equations.

    The networks are eliminated first (S. R. Searle, Linear Models, Wiley 1971, section 7.1).  What is left is a graph's
    Laplacian: its pseudo-inverse gives effects that add up to 0 in each connected part.
    """
    totals = weights.sum(axis=1)
    shares = weights / totals[:, None]
    laplacian = np.diag(weights.sum(axis=0)) - weights.T @ shares
    centred = logs - (shares * logs).sum(axis=1, keepdims=True)
    right: FloatArray = (weights * centred).sum(axis=0)
    effects: FloatArray = _pseudo_inverse(laplacian) @ right
    means: FloatArray = (shares * (logs - effects[None, :])).sum(axis=1)
    return effects, means, laplacian


def _pseudo_inverse(laplacian: FloatArray) -> FloatArray:
    values, vectors = np.linalg.eigh(laplacian)
    there = values > RANK_TOLERANCE * max(1.0, float(values[-1]))
    return (vectors[:, there] / values[there]) @ vectors[:, there].T


def _moderated(residuals: FloatArray, weights: FloatArray, scale: float) -> FloatArray:
    """Each network's own variance of an estimate, drawn towards what all have in common: some meet more trouble than others.

    An estimate that the fit hardly counts hardly counts here.
    """
    degrees = np.maximum((weights > 0).sum(axis=1) - 1, 0)
    return (PRIOR_DF * scale**2 + (weights * np.square(residuals)).sum(axis=1)) / (PRIOR_DF + degrees)


def _scale(residuals: FloatArray, there: NDArray[np.bool_]) -> float:
    """The residuals' robust standard deviation, freed of what the fit took."""
    counted = there.sum(axis=1, keepdims=True) > 1
    values = np.abs(residuals[there & counted])
    taken = (counted[:, 0]).sum() + there.shape[1] - 1
    freed = math.sqrt(len(values) / max(1, len(values) - taken))
    return max(SMALLEST_SCALE, MAD_TO_STD * float(np.median(values)) * freed) if len(values) else SMALLEST_SCALE
