"""For how much of a slice its threads had no core: what happened inside a long iteration.  Pure."""

from __future__ import annotations

from collections.abc import Iterable

from lutfarm_jobs.run import Slice

LOST_SHARE = 0.01  # of the wall time, beyond what is its own
MOST_OWN = 0.05  # what waking a backend's own threads may take: more is a neighbour


def lost_share(piece: Slice) -> float:
    """Time in which its threads were ready and had no core, over wall time; where nobody keeps account, wall less CPU time."""
    lost_ns = piece.wall_ns - piece.cpu_ns if piece.run_delay_ns is None else piece.run_delay_ns
    return max(0.0, lost_ns / piece.wall_ns) if piece.wall_ns else 0.0


def own_lost(slices: Iterable[Slice]) -> float:
    """What the threads of a run lose at the best of times."""
    return min(MOST_OWN, min((lost_share(piece) for piece in slices), default=0.0))


def kept_its_core(piece: Slice, own: float) -> bool:
    """Whether a slice had its core all the time."""
    return lost_share(piece) <= own + LOST_SHARE
