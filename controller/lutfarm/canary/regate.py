"""Judges stored slices again, by a canary reference that was not known when they were taken."""

from __future__ import annotations

from dataclasses import replace

from lutfarm.canary.reference import CanaryReference
from lutfarm.statistics.samples.time_without_core import kept_its_core, own_lost
from lutfarm_jobs.run import Run, Slice


def regated(run: Run, known: CanaryReference, *, gate_ratio: float) -> Run:
    """The run with the verdicts that this reference would have given; without a reference, as it is.

    The first round of a device has no reference but its own first 100 ms.  Was the machine slow then, every slice of it
    passed a gate that stood too high; later rounds show that.  And where the canary itself became slower, all slices failed
    until its reference was based anew: the few that were kept count then.
    """
    reference_ns = known.reference_ns
    if reference_ns is None:
        return run
    highest_ns = gate_ratio * reference_ns

    own = own_lost(piece for piece in run.slices if not piece.gated)

    def judged(piece: Slice) -> Slice:
        inside = not piece.involuntary_switches if piece.gated else kept_its_core(piece, own)
        calm = inside and max(piece.canary_before_ns, piece.canary_after_ns) <= highest_ns
        return piece if piece.quiet == calm else replace(piece, quiet=calm)

    slices = tuple(judged(piece) for piece in run.slices)
    restored = sum(new.quiet and not old.quiet for new, old in zip(slices, run.slices, strict=True))
    return replace(
        run,
        slices=slices,
        canary_reference_ns=reference_ns if run.canary_reference_ns else None,
        reference_provisional=known.provisional,
        slices_rejected=max(0, run.slices_rejected - restored),
    )
