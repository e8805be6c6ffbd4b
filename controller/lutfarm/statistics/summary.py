"""From one measurement's sample, and what the table's other entries are like, to an estimate."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lutfarm.statistics.flags import Flag, flags
from lutfarm.statistics.interval import DEFAULT_SPREAD, Interval, moderated_interval
from lutfarm.statistics.sample import Sample


@dataclass(frozen=True, slots=True)
class Target:
    """How precise an entry is to be: half-width over estimate, at which confidence, from how many processes."""

    relative_half_width: float = 0.02
    confidence: float = 0.95
    minimum_processes: int = 2


@dataclass(frozen=True, slots=True)
class Summary:
    """The estimate of one measurement."""

    interval: Interval
    flags: tuple[Flag, ...]


def summarize(found: Sample, target: Target | None = None, *, prior_spread: float = DEFAULT_SPREAD) -> Summary:
    """The estimate, its interval and its flags.

    Contended slices have no interval for the uncontended device: theirs reaches over everything that was observed, too.
    """
    wanted = target or Target()
    interval = moderated_interval(
        found.levels_ns, confidence=wanted.confidence, prior_spread=prior_spread
    )
    if found.statistic == "p25_contended":
        interval = replace(
            interval,
            low_ns=min(interval.low_ns, found.iterations.min_ns),
            high_ns=max(interval.high_ns, found.iterations.max_ns),
        )
    raised = flags(
        found, interval, relative_target=wanted.relative_half_width, minimum_processes=wanted.minimum_processes
    )
    return Summary(interval, raised)
