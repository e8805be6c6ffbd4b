"""Output data and comparisons with numpy, which every real runtime brings along."""
# numpy is no dependency of the runner's host side check
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from typing import Any, Optional

import numpy as np

from lutfarm_runner.backends.inputs import draw_ahead


def flat(value: Any) -> Optional[Any]:
    """A copy of a numeric tensor as one row of float64; None for anything else."""
    array = np.asarray(value)
    return array.astype(np.float64).ravel() if array.dtype.kind in "fiub" else None


class NumpyBackend:
    """What backends have in common whose inputs and outputs are numpy arrays."""

    def draw_ahead(self, seed: int) -> None:
        """See Backend.draw_ahead."""
        draw_ahead(seed)

    def difference(self, one: Any, other: Any) -> float:
        """See Backend.difference; equal infinities do not differ."""
        if one.shape != other.shape:
            return float("inf")
        if not one.size:
            return 0.0
        with np.errstate(invalid="ignore"):
            return float(np.where(one == other, 0.0, np.abs(one - other)).max())

    def largest(self, one: Any) -> float:
        """See Backend.largest."""
        return float(np.abs(one).max()) if one.size else 0.0
