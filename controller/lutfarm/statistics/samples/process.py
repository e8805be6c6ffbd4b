"""One process, one number: the process-level sample that intervals are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np

from lutfarm.statistics.samples.percentiles import FloatArray, median_unbiased
from lutfarm_jobs.measurement_key import MeasurementKey
from lutfarm_jobs.run import Run, Slice

Mode = Literal["gated", "swept", "sustained"]

QUIET_PERCENTILE = 25.0
SWEPT_PERCENTILE = 10.0
PERCENTILES: Mapping[Mode, float] = {"gated": QUIET_PERCENTILE, "swept": SWEPT_PERCENTILE, "sustained": 50.0}
SETTLED = 2 / 3  # of a sustained load: from here on it counts


def mode_of(runs: Iterable[Run]) -> Mode:
    """Sustained where the measurement's conditions say so.

    Swept where any slice had no verdict of the gate: such a workload is longer than the machine's states last.
    """
    all_runs = list(runs)
    if any(MeasurementKey.parse(run.key).sustained for run in all_runs):
        return "sustained"
    return "gated" if all(piece.gated for run in all_runs for piece in run.slices) else "swept"


def samples_ns(slices: Iterable[Slice]) -> FloatArray:
    """The iterations of slices in their order, as floats, shape (n,)."""
    return np.array([value for piece in slices for value in piece.samples_ns], dtype=np.float64)


def counted_slices(slices: Iterable[Slice], mode: Mode) -> tuple[Slice, ...]:
    """The slices that the estimate uses: the quiet ones; of a sustained load the last third."""
    filled = [piece for piece in slices if piece.samples_ns]
    if mode == "sustained":
        settled = SETTLED * (max((piece.pass_index for piece in filled), default=0) + 1)
        return tuple(piece for piece in filled if piece.pass_index + 1 > settled)
    return tuple(piece for piece in filled if piece.quiet)


def process_percentile_ns(iterations_ns: FloatArray, mode: Mode) -> float:
    """The percentile of one process's iterations that stands for it: a low one for the uncontended device.

    50 for a sustained load, whose estimand is what the device does after minutes of it.
    25 for gated workloads.  10 for swept ones, whose iterations span several of the machine's states: measured in
    randomised sweeps, p10 gave the smallest difference from sitting to sitting.  Median-unbiased whatever the distribution
    (R. J. Hyndman and Y. Fan, "Sample quantiles in statistical packages", The American Statistician 50 (1996) 361-365,
    definition 8): the usual interpolation takes p25 of 16 log-normal iterations with sigma 10 % for 0.5 % too much.
    """
    return median_unbiased(iterations_ns, PERCENTILES[mode])


def process_estimate_ns(run: Run) -> float | None:
    """What one process says in ns; None where it had no quiet slice."""
    mode = mode_of([run])
    counted = counted_slices(run.slices, mode)
    return process_percentile_ns(samples_ns(counted), mode) if counted else None
