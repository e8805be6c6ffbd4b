"""Where an entry's scatter comes from, and how far its slow iterations reach.  Pure."""

from __future__ import annotations

from lutfarm.statistics import Sample
from lutfarm.statistics.intervals.interval import Interval
from lutfarm.statistics.intervals.tails import tail_bounds
from lutfarm.statistics.intervals.variance_components import components
from lutfarm.statistics.samples.conditions import sittings_of
from lutfarm.statistics.samples.process import samples_ns


def scatter(sample: Sample, interval: Interval) -> dict[str, float | None]:
    """The fields of an entry that say so; None where there are too few groups or iterations to tell.

    `interval`: of its estimate.
    """
    slices = [
        (position, sitting, piece)
        for position, (process, sitting) in enumerate(zip(sample.processes, sittings_of(sample), strict=True))
        for piece in process.slices
    ]
    parts = components(
        [samples_ns([piece]) for _, _, piece in slices],
        [position for position, _, _ in slices],
        [sitting for _, sitting, _ in slices],
    )
    series = [samples_ns(process.slices) for process in sample.processes]
    p90, p99 = (tail_bounds(series, sample.estimates, interval, share) for share in (0.90, 0.99))
    return {
        "iteration_spread": parts.within_slices,
        "slice_spread": parts.between_slices,
        "round_spread": parts.between_processes,
        "sitting_spread": parts.between_sittings,
        "p90_low": p90 and p90.low,
        "p90_high": p90 and p90.high,
        "p99_low": p99 and p99.low,
        "p99_high": p99 and p99.high,
    }
