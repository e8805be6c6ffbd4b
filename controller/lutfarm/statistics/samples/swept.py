"""Iterations too long for a gate: what canaries on both sides of each say of what lay between them.  Pure.

The machine is taken for a two-state Markov chain in continuous time, calm and not.  How often a canary is calm after an
iteration that began calm, and for how long the runner then had to wait, tell both rates; so does the chain how much of an
iteration between two calm canaries was slow all the same: nothing where states last far longer than an iteration, and as
much as of any other time where they last far shorter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lutfarm_jobs.round import Slicing
from lutfarm_jobs.run import Run, Slice

GATE_RATIO = Slicing().gate_ratio
MOST_SLOWER_THAN_CANARY = 1.15  # workloads slowed 1.15 to 1.63 times where the canary slowed 1.5 times
LEAST_QUIET = 0.2  # of a process's visits: with fewer quiet ones it says little
WAITED_NS = 1_000  # less is a look at the clock


@dataclass(frozen=True, slots=True)
class Visits:
    """How many visits were made, and in how many of them an iteration was quiet."""

    made: int
    quiet: int

    @property
    def share(self) -> float:
        """Of quiet ones; 0 without any."""
        return self.quiet / self.made if self.made else 0.0


def visits(slices: Sequence[Slice]) -> Visits:
    """Of one process: a visit may have several slices."""
    return Visits(len({piece.pass_index for piece in slices}), len({piece.pass_index for piece in slices if piece.quiet}))


def hidden_slowdown(runs: Sequence[Run], estimate_ns: float) -> float:
    """By how much iterations between two calm canaries may be slower than on the quiet machine, 0.01 is 1 %.

    `estimate_ns`: of an iteration that was quiet.  0 where no canary was ever above the gate, or where there is no reference.
    """
    known = [(run, piece) for run in runs if run.canary_reference_ns for piece in run.slices]
    begun_calm = [(run, piece) for run, piece in known if _calm(run, piece.canary_before_ns)]
    ended = [(run, piece) for run, piece in begun_calm if not _calm(run, piece.canary_after_ns)]
    if not ended:
        return 0.0
    stays = 1 - len(ended) / len(begun_calm)
    wall_ns = float(np.median([piece.wall_ns for _, piece in known]))
    returns_ns = [piece.waited_ns for _, piece in known if piece.waited_ns > WAITED_NS]
    share = _slow_between(stays, wall_ns, float(np.median(returns_ns)) if returns_ns else 0.0)
    loud = float(np.median([piece.canary_after_ns / (run.canary_reference_ns or 1) for run, piece in ended]))
    seen = float(np.median([np.median(piece.samples_ns) for _, piece in ended])) / estimate_ns
    return share * max(0.0, MOST_SLOWER_THAN_CANARY * loud - 1, seen - 1)


def _calm(run: Run, estimate_ns: int) -> bool:
    return estimate_ns <= GATE_RATIO * (run.canary_reference_ns or 0)


def _slow_between(stays: float, wall_ns: float, wait_ns: float) -> float:
    """The mean share of slow time in an iteration of `wall_ns` with both ends calm.

    `stays`: the probability that an iteration that began calm ends so; `wait_ns`: the median time until the machine is calm
    again, 0 where it is not known, which is as if that took no time: the most that can be hidden.
    """
    if wait_ns <= 0:
        return 1 - stays
    back = math.log(2) / wait_ns
    low, high = 0.0, 1e3 / wall_ns  # the rate at which calm ends: bisected, as there is no closed form
    for _ in range(60):
        middle = (low + high) / 2
        calm = back / (middle + back)
        low, high = (middle, high) if calm + (1 - calm) * math.exp(-(middle + back) * wall_ns) > stays else (low, middle)
    calm, mixed = back / (low + back), (low + back) * wall_ns
    if mixed < 1e-6:
        return 0.0
    both = calm + (1 - calm) * math.exp(-mixed)
    return calm * (1 - calm) / both * (1 + math.exp(-mixed) - 2 * (1 - math.exp(-mixed)) / mixed)
