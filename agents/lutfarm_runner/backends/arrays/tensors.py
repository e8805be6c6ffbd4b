"""Output data and comparisons with numpy, which every real runtime brings along."""
# numpy is no dependency of the runner's host side check
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from typing import Any

from lutfarm_runner.backends.arrays import outputs
from lutfarm_runner.backends.arrays.inputs import draw_ahead


class NumpyBackend:
    """What backends have in common whose inputs and outputs are numpy arrays."""

    def draw_ahead(self, seed: int) -> None:
        draw_ahead(seed)

    def difference(self, one: Any, other: Any) -> float:
        return outputs.difference(one, other)

    def largest(self, one: Any) -> float:
        return outputs.largest(one)

    def nans(self, one: Any) -> int:
        return outputs.nans(one)

    def finite(self, one: Any) -> bool:
        return outputs.finite(one)

    def tolerance(self, one: Any) -> float:
        return outputs.tolerance(one)
