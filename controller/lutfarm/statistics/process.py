"""One process, one number: the process-level sample that intervals are made of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lutfarm_jobs.measurement import Run, Slice

FloatArray = NDArray[np.float64]
Mode = Literal["gated", "swept"]

QUIET_PERCENTILE = 25.0
SWEPT_PERCENTILE = 10.0


def mode_of(slices: Iterable[Slice]) -> Mode:
    """Swept where any slice had no verdict of the gate: such a workload is longer than the machine's states last."""
    return "gated" if all(piece.gated for piece in slices) else "swept"


def samples_ns(slices: Iterable[Slice]) -> FloatArray:
    """The iterations of slices in their order, as floats, shape (n,)."""
    return np.array([value for piece in slices for value in piece.samples_ns], dtype=np.float64)


def counted_slices(slices: Iterable[Slice], mode: Mode) -> tuple[Slice, ...]:
    """The slices that the estimate uses: the quiet ones; of a swept workload all."""
    return tuple(piece for piece in slices if piece.samples_ns and (mode == "swept" or piece.quiet))


def process_level_ns(iterations_ns: FloatArray, mode: Mode) -> float:
    """The low percentile of one process's iterations that stands for the uncontended device.

    25 for gated workloads.  10 for swept ones, whose iterations span several of the machine's states: measured in
    randomised sweeps, p10 gave the smallest difference from sitting to sitting.
    """
    return float(np.percentile(iterations_ns, QUIET_PERCENTILE if mode == "gated" else SWEPT_PERCENTILE))


def process_estimate_ns(run: Run) -> float | None:
    """What one process says in ns; None where it had no quiet slice."""
    mode = mode_of(run.slices)
    counted = counted_slices(run.slices, mode)
    return process_level_ns(samples_ns(counted), mode) if counted else None
