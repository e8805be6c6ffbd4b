"""What was true while a measurement was sampled: canary, scheduler, clock, temperature, sittings."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import TypeVar

import numpy as np

from lutfarm.statistics.samples.sample import Sample
from lutfarm_jobs.run import Run, Slice

_Number = TypeVar("_Number", int, float)

SITTING_GAP_S = 3600.0  # a longer pause between runs begins another sitting


def canary_ratios(run: Run, slices: Iterable[Slice]) -> list[float]:
    """Canary levels before and after slices over the run's reference; empty where the run has none."""
    if not run.canary_reference_ns:
        return []
    levels = (level for piece in slices for level in (piece.canary_before_ns, piece.canary_after_ns))
    return [level / run.canary_reference_ns for level in levels]


def canary_level(sample: Sample) -> float | None:
    """The median canary level round the slices that count, relative to its reference; None without a reference."""
    ratios = [ratio for process in sample.processes for ratio in canary_ratios(process.run, process.slices)]
    return median(ratios) if ratios else None


def wall_over_cpu(sample: Sample) -> float | None:
    """Wall time over CPU time of the slices that count; None where CPU time can't be read."""
    cpu_ns = sum(piece.cpu_ns for piece in sample.slices)
    return sum(piece.wall_ns for piece in sample.slices) / cpu_ns if cpu_ns else None


def extremes(values: Iterable[_Number | None]) -> tuple[_Number | None, _Number | None]:
    """The lowest and the highest of what is known."""
    known = [value for value in values if value is not None]
    return (min(known), max(known)) if known else (None, None)


def sittings_of(sample: Sample) -> tuple[int, ...]:
    """Which sitting each process is of, from 0; a pause of SITTING_GAP_S begins another."""
    starts = np.array([process.run.started_s for process in sample.processes])
    order = np.argsort(starts, kind="stable")
    numbers = np.empty(len(starts), dtype=np.intp)
    numbers[order] = np.concatenate([[0], np.cumsum(np.diff(starts[order]) > SITTING_GAP_S)])
    return tuple(int(number) for number in numbers)


def scope(sample: Sample) -> str:
    """What the interval is over.  Pooled sittings are still no interval over days: the days are too few to tell."""
    count = max(sittings_of(sample)) + 1
    return "sitting" if count == 1 else f"rounds of {count} sittings, pooled"
