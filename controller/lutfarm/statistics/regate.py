"""Judges stored slices again, by a canary reference that was not known when they were taken."""

from __future__ import annotations

from dataclasses import replace

from lutfarm_jobs.measurement import Run, Slice


def regated(run: Run, *, reference_ns: int | None, gate_ratio: float) -> Run:
    """The run with the verdicts that `reference_ns` would have given; it can only take "quiet" away.

    The first round of a device has no reference but its own first 100 ms.  Was the machine slow then, every slice of it
    passed a gate that stood too high; later rounds show that.
    """
    if reference_ns is None:
        return run
    highest_ns = gate_ratio * reference_ns

    def judged(piece: Slice) -> Slice:
        calm = max(piece.canary_before_ns, piece.canary_after_ns) <= highest_ns
        return piece if calm or not piece.gated or not piece.quiet else replace(piece, quiet=False)

    return replace(run, slices=tuple(judged(piece) for piece in run.slices))
