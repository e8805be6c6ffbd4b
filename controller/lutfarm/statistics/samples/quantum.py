"""What a coarse clock hides: an estimate may be wrong by the step of the clock that its samples were read from."""

from __future__ import annotations

from dataclasses import replace

from lutfarm.statistics.intervals.interval import Interval
from lutfarm.statistics.samples.sample import Sample

LEAST_STEPS = 50  # half of what the runner aims at: iterations became faster since their probe


def quantum_ns(sample: Sample) -> float:
    """The clock's step per iteration where a sample spans fewer than LEAST_STEPS of them; else 0, since a percentile of
    many samples is far less wrong than any of them.
    """
    worst = 0.0
    for process in sample.processes:
        step_ns = process.run.clock_step_ns or 0
        blocks = {piece.block for piece in process.slices}
        short = [block for block in blocks if block * process.estimate < LEAST_STEPS * step_ns]
        worst = max(worst, *(step_ns / block for block in short), 0.0)
    return worst


def widened(interval: Interval, quantum_ns: float) -> Interval:
    """Further by the quantum on either side, and above zero."""
    if not quantum_ns:
        return interval
    return replace(interval, low=interval.low / (1 + quantum_ns / interval.low), high=interval.high + quantum_ns)
