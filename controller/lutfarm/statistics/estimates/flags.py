"""What a reader has to know before believing a number."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np

from lutfarm.statistics.intervals.interval import Interval
from lutfarm.statistics.samples.change_point import change_point
from lutfarm.statistics.samples.conditions import canary_ratios, wall_over_cpu
from lutfarm.statistics.samples.held_up import disagree
from lutfarm.statistics.samples.percentiles import linear
from lutfarm.statistics.samples.sample import Sample
from lutfarm.statistics.samples.swept import GATE_RATIO
from lutfarm.statistics.samples.trend import trend_p_value

Flag = Literal[
    "converged",
    "reference_provisional",
    "contended",
    "no_quiet_window",
    "rounds_disagree",
    "preempted",
    "drift",
    "changed",
    "reference_stale",
    "throttled",
    "in_blocks",
    "partly_delegated",
    "unknown_output",
    "not_precise",
    "indistinct",  # of sandwiched entries alone: see lut/building/sandwiched.py
    "inputs_assumed",  # both of a model file: see lut/fed.py
    "nothing_computed",
    "devices_left_out",  # of a pool's entries alone: see lut/building/pooled.py
]

BUSY: frozenset[str] = frozenset({"contended", "no_quiet_window", "rounds_disagree"})  # measured on a busy machine
UNKNOWN: frozenset[str] = frozenset({"no_quiet_window", "rounds_disagree"})  # the number is no estimate of the quiet device

STALE_SPAN_S = 60.0  # shorter than this, a high level may be a neighbour's load
SLOWER_CLOCK = 0.9
UNGATED = frozenset({"p50_sustained", "tool_mean", "tool_median"})
MOST_HIDDEN = 0.03  # relative, of what may have happened between two calm canaries
PREEMPTED_WALL_OVER_CPU = 1.05
DRIFT_LEAST = 0.02
LEAST_FOR_CHANGE = 9  # of eight, four fast and four slow ones have 0.03 by chance
DRIFT_SIGNIFICANCE = 0.02  # five processes in perfect order have 0.017, four have 0.083


def flags(sample: Sample, interval: Interval, *, relative_target: float, minimum_rounds: int) -> tuple[Flag, ...]:
    """The flags of one measurement, in the order of `Flag`.

    converged: the half-width is at most `relative_target`, from at least `minimum_rounds`, in quiet slices.
    """
    precise = (
        interval.relative_half_width <= relative_target
        and len(sample.processes) >= minimum_rounds
        and sample.statistic != "p25_contended"
        and not disagree(sample.estimates)
    )
    raised: tuple[Flag, ...] = tuple(flag for flag, is_true in _RULES if is_true(sample))
    return ("converged", *raised) if precise else (*raised, "not_precise")


def _reference_provisional(sample: Sample) -> bool:
    """Where no canary decides what counts, no reference does."""
    return sample.statistic not in UNGATED and any(process.run.reference_provisional for process in sample.processes)


def _contended(sample: Sample) -> bool:
    """More than half of the visits found no quiet window; or too much may have happened between calm canaries.

    Of a sustained load: more than half of its canaries were above the gate.
    """
    if sample.statistic not in UNGATED:
        return sample.quiet_share < 0.5 or sample.hidden > MOST_HIDDEN or _no_quiet_window(sample)
    if not sample.slices:  # a tool shows no canary: nothing is known of its neighbours
        return False
    loud = [
        max(canary_ratios(process.run, [piece]), default=0.0) > GATE_RATIO
        for process in sample.processes
        for piece in process.slices
    ]
    return sum(loud) > len(loud) / 2


def _no_quiet_window(sample: Sample) -> bool:
    return sample.statistic == "p25_contended"


def _rounds_disagree(sample: Sample) -> bool:
    """Their estimates differ by factors, and too few agree to tell which are right."""
    return disagree(sample.estimates)


def _preempted(sample: Sample) -> bool:
    """In more than half of the slices that count, or 5 % of the wall time was not ours."""
    if not sample.slices:
        return False
    interrupted = sum(piece.involuntary_switches > 0 for piece in sample.slices)
    return interrupted > len(sample.slices) / 2 or (wall_over_cpu(sample) or 1.0) > PREEMPTED_WALL_OVER_CPU


def _drift(sample: Sample) -> bool:
    """The latency moved in one direction from process to process, by more than DRIFT_LEAST, beyond chance."""
    estimates = sample.estimates
    if len(estimates) < 4 or max(estimates) / min(estimates) - 1 <= DRIFT_LEAST:
        return False
    return trend_p_value(estimates) <= DRIFT_SIGNIFICANCE


def _changed(sample: Sample) -> bool:
    """The latency stepped up or down once, by more than DRIFT_LEAST, beyond chance."""
    if len(sample.estimates) < LEAST_FOR_CHANGE:
        return False
    step = change_point(sample.estimates)
    return step is not None and abs(math.log(step.ratio)) > DRIFT_LEAST and step.p_value <= DRIFT_SIGNIFICANCE


def _reference_stale(sample: Sample) -> bool:
    """The canary settled away from its reference: below it now, or above it for longer than a neighbour's load lasts.

    A provisional reference can't be stale: too little is known yet for it to settle.  Processes of epochs with different
    references are no one sample, whatever is known of each.
    """
    references = [p.run.canary_reference_ns for p in sample.processes if p.run.canary_reference_ns]
    if references and max(references) > GATE_RATIO * min(references):
        return True
    runs = [p.run for p in sample.processes if p.run.canary_reference_ns and not p.run.reference_provisional]
    ratios = [ratio for run in runs for ratio in canary_ratios(run, run.slices)]
    if not ratios:
        return False
    (settled,) = linear(np.array(ratios), 10)
    span_s = max(run.ended_s for run in runs) - min(run.started_s for run in runs)
    return settled < 1 / GATE_RATIO or (settled > GATE_RATIO and span_s >= STALE_SPAN_S)


def _throttled(sample: Sample) -> bool:
    """The device said that it throttled; or the clock after a round was a tenth lower than before it, or than after another."""
    if any(process.run.throttled for process in sample.processes):
        return True
    pairs = [
        (run.before.frequency_khz if run.before else None, run.after.frequency_khz if run.after else None)
        for run in (process.run for process in sample.processes)
    ]
    highest_after = max((after for _, after in pairs if after), default=0)
    return any(after < SLOWER_CLOCK * max(before or 0, highest_after) for before, after in pairs if after)


def _in_blocks(sample: Sample) -> bool:
    """The clock is too coarse for single iterations."""
    return any(piece.block > 1 for piece in sample.slices)


def _partly_delegated(sample: Sample) -> bool:
    """A native tool said that the asked delegate or provider did not run the whole graph."""
    return any(process.run.summary.partly_delegated for process in sample.processes if process.run.summary)


def _unknown_output(sample: Sample) -> bool:
    """A native tool printed lines that no known version of it prints."""
    return any(process.run.summary.unknown_lines for process in sample.processes if process.run.summary)


_RULES: tuple[tuple[Flag, Callable[[Sample], bool]], ...] = (
    ("reference_provisional", _reference_provisional),
    ("contended", _contended),
    ("no_quiet_window", _no_quiet_window),
    ("rounds_disagree", _rounds_disagree),
    ("preempted", _preempted),
    ("drift", _drift),
    ("changed", _changed),
    ("reference_stale", _reference_stale),
    ("throttled", _throttled),
    ("in_blocks", _in_blocks),
    ("partly_delegated", _partly_delegated),
    ("unknown_output", _unknown_output),
)
