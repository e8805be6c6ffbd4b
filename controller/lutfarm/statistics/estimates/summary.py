"""From one measurement's sample, and what the table's other entries are like, to an estimate."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lutfarm.statistics.estimates.flags import Flag, flags
from lutfarm.statistics.estimates.precision import least_rounds
from lutfarm.statistics.intervals.interval import DEFAULT_SPREAD, PRIOR_DF, Interval, moderated_interval
from lutfarm.statistics.samples.conditions import canary_ratios
from lutfarm.statistics.samples.held_up import disagree
from lutfarm.statistics.samples.quantum import quantum_ns, widened
from lutfarm.statistics.samples.sample import Sample
from lutfarm.statistics.samples.swept import MOST_SLOWER_THAN_CANARY
from lutfarm.statistics.samples.time_without_core import lost_share

MOST_LOST = 0.9  # of a slice; the waiting of several threads adds up to more


@dataclass(frozen=True, slots=True)
class Target:
    """How precise an entry is to be: half-width over estimate, at which confidence, from how many processes."""

    relative_half_width: float = 0.02
    confidence: float = 0.95
    minimum_rounds: int = 2
    rounds: int | None = None  # that the job gives each at most; None: nothing could stop one early

    def least_rounds(self, prior_df: float) -> int:
        """As the rule has it by which the job's measurements stop."""
        if self.rounds is None:
            return self.minimum_rounds
        return least_rounds(self.minimum_rounds, self.rounds, prior_df=prior_df)


@dataclass(frozen=True, slots=True)
class Summary:
    """The estimate of one measurement."""

    interval: Interval
    flags: tuple[Flag, ...]


def summarize(
    sample: Sample, target: Target | None = None, *, prior_spread: float = DEFAULT_SPREAD, prior_df: float = PRIOR_DF
) -> Summary:
    """The estimate, its interval and its flags.

    Contended slices have no interval for the uncontended device: theirs reaches over everything that was observed, and down
    to where the uncontended latency may be, by the time without a core, the canary's highest level and
    MOST_SLOWER_THAN_CANARY.  That of processes that differ by factors reaches over all of them, and that of a swept workload
    down by what its canaries can't have shown.
    """
    wanted = target or Target()
    interval = moderated_interval(sample.estimates, confidence=wanted.confidence, prior_spread=prior_spread, prior_df=prior_df)
    if sample.statistic == "p25_contended":
        interval = replace(
            interval,
            low=min(interval.low, _least_ns(sample)) / _most_slowed(sample),
            high=max(interval.high, sample.iterations.max),
        )
    interval = widened(reaching(interval, sample), quantum_ns(sample))
    raised = flags(sample, interval, relative_target=wanted.relative_half_width, minimum_rounds=wanted.least_rounds(prior_df))
    return Summary(interval, raised)


def reaching(interval: Interval, sample: Sample) -> Interval:
    """With what an interval over processes does not hold: see `summarize`."""
    low_ns, high_ns = interval.low / (1 + sample.hidden), interval.high
    if disagree(sample.estimates):
        low_ns, high_ns = min(low_ns, *sample.estimates), max(high_ns, *sample.estimates)
    return replace(interval, low=low_ns, high=high_ns)


def _least_ns(sample: Sample) -> float:
    """The shortest iteration, each without the time in which its slice had no core."""
    parts = [
        min(piece.samples_ns) * (1 - min(MOST_LOST, lost_share(piece)))
        for process in sample.processes
        for piece in process.slices
        if piece.samples_ns
    ]
    return min(parts, default=sample.iterations.min)


def _most_slowed(sample: Sample) -> float:
    """By how much the contended slices were slowed, at most, as far as the canary shows it; 1 without a reference."""
    ratios = [ratio for process in sample.processes for ratio in canary_ratios(process.run, process.slices)]
    return max(1.0, MOST_SLOWER_THAN_CANARY * max(ratios, default=0.0))
