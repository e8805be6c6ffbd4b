"""Which measurements are precise enough, decided between rounds from the process-level estimates so far.  Pure.

The rule is sequential: another process while the interval is wider than the target (J. S. Chow and H. Robbins, "On the
asymptotic theory of fixed-width sequential confidence intervals", Ann. Math. Statist. 36 (1965) 457-462).  Stopping by an
interval whose variance was estimated from few processes stops too early where that estimate was low by luck, so there are
least counts: benchmarks/coverage.py shows what intervals cover with them, stopping included.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lutfarm.statistics.estimates.prior import priors_of_estimates
from lutfarm.statistics.intervals.interval import Interval, moderated_interval
from lutfarm.statistics.intervals.sweep import fit_sweep, widened
from lutfarm.statistics.samples.process import mode_of, process_estimate_ns
from lutfarm.statistics.samples.sample import STATISTICS, Statistic
from lutfarm_jobs.run import Run

LEAST_ROUNDS = 3  # where the other entries of a table say what the spread is
LEAST_ROUNDS_ALONE = 7  # where they are too few for that, or all move as one
LEAST_PRIOR_DF = 1.0  # below this a prior is no witness


@dataclass(frozen=True, slots=True)
class StopRule:
    """When a measurement needs no further process."""

    relative_half_width: float = 0.02
    confidence: float = 0.95
    least_rounds: int = LEAST_ROUNDS  # more than the rule's own least counts, if a job asks for more
    rounds: int | None = None  # how many there may be at most; None: as many as it takes


@dataclass(frozen=True, slots=True)
class ProcessEstimate:
    """What one process says of one measurement, in ns, and which statistic that is."""

    round_id: str
    ns: float
    statistic: Statistic


@dataclass(frozen=True, slots=True)
class Reached:
    """How precise one measurement is: half of its interval over the estimate, and whether that rests on enough processes."""

    relative_half_width: float
    settled: bool
    least: int = LEAST_ROUNDS  # how many processes are enough for that

    def enough(self, rule: StopRule) -> bool:
        """Whether it is precise, and may stop."""
        return self.settled and self.relative_half_width <= rule.relative_half_width


def least_rounds(least: int, rounds: int | None, *, prior_df: float) -> int:
    """On how many processes an interval must rest to be called precise: while a job runs, at its end and in its table.

    The least counts of the rule; or all of the rounds, where there may be fewer: nothing stopped early then.
    """
    wanted = max(least, LEAST_ROUNDS_ALONE if prior_df < LEAST_PRIOR_DF else LEAST_ROUNDS)
    return wanted if rounds is None else min(wanted, rounds)


def process_estimate_of(run: Run) -> ProcessEstimate | None:
    """The process-level estimate of a complete run; None where it had no quiet slice."""
    if run.status != "complete":
        return None
    if run.summary is not None:
        return ProcessEstimate(run.round_id, float(run.summary.estimate_ns), run.summary.statistic)
    estimate_ns = process_estimate_ns(run)
    return None if estimate_ns is None else ProcessEstimate(run.round_id, estimate_ns, STATISTICS[mode_of([run])])


def reached(estimates: Mapping[str, Sequence[ProcessEstimate]], rule: StopRule) -> dict[str, Reached]:
    """By measurement: how precise it is, judged as a table would; all of one device and backend.

    Those without an estimate are left out.  Estimates of another statistic than a measurement's newest are of an older plan, and
    do not count.
    """
    kinds: dict[Statistic, dict[str, dict[str, float]]] = {}
    for key, of_key in estimates.items():
        if of_key:
            statistic = of_key[-1].statistic
            alike = {estimate.round_id: estimate.ns for estimate in of_key if estimate.statistic == statistic}
            kinds.setdefault(statistic, {})[key] = alike
    by_measurement: dict[str, Reached] = {}
    for statistic, by_key in kinds.items():
        by_measurement |= _swept(by_key, rule) if statistic == "p10_swept" else reached_alike(by_key, rule)
    return by_measurement


def reached_alike(by_key: Mapping[str, Mapping[str, float]], rule: StopRule) -> dict[str, Reached]:
    """By entry: how precise it is, from one number of each process, or from one ratio of each pair of them; none is empty."""
    return {
        key: _judged(interval, count, rule, prior_df) for key, (interval, count, prior_df) in _intervals(by_key, rule).items()
    }


def _swept(by_key: Mapping[str, Mapping[str, float]], rule: StopRule) -> dict[str, Reached]:
    """Each process's common shift is taken out where it can be told, and what that leaves uncertain is added."""
    fit = fit_sweep(by_key)
    if fit is None:
        return reached_alike(by_key, rule)
    return {
        key: _judged(widened(interval, fit, confidence=rule.confidence), count, rule, prior_df)
        for key, (interval, count, prior_df) in _intervals(fit.corrected, rule).items()
    }


def _intervals(by_key: Mapping[str, Mapping[str, float]], rule: StopRule) -> dict[str, tuple[Interval, int, float]]:
    """The interval of each, of how many processes, and how much the other entries say of what their spread is."""
    priors = priors_of_estimates([list(estimates.items()) for estimates in by_key.values()])
    return {
        key: (
            moderated_interval(
                list(estimates.values()), confidence=rule.confidence, prior_spread=prior.spread, prior_df=prior.df
            ),
            len(estimates),
            prior.df,
        )
        for (key, estimates), prior in zip(by_key.items(), priors, strict=True)
    }


def _judged(interval: Interval, processes: int, rule: StopRule, prior_df: float) -> Reached:
    least = least_rounds(rule.least_rounds, rule.rounds, prior_df=prior_df)
    return Reached(interval.relative_half_width, processes >= least, least)


def rounds_needed(now: Reached | None, rule: StopRule, *, done: int, most: int) -> int:
    """About how many further processes a measurement needs: an interval narrows with the square root of their number."""
    if now is not None and now.enough(rule):
        return 0
    if now is None or not math.isfinite(now.relative_half_width):
        return max(0, max(rule.least_rounds, LEAST_ROUNDS, done + 1) - done) if done < most else 0
    wanted = math.ceil(done * (now.relative_half_width / rule.relative_half_width) ** 2)
    return max(0, min(most, max(wanted, done + 1, now.least)) - done)
