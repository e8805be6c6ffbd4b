"""What the choices of a space cost, as arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lutfarm.lut.prediction.operator_latencies import Price, Prices
from lutfarm.statistics.samples.process import FloatArray
from lutfarm_jobs.operators.base import Operator
from lutfarm_jobs.spaces.base import Space


@dataclass(frozen=True, slots=True)
class LayerCosts:
    """How often each choice of each layer needs each operator, and what the operators cost.

    `parts`: (choices of all layers one after another, operators); `first`: where each layer's choices begin;
    `fixed`: (operators,) how often every network has them; `keys`: the operators; the others (operators,) in ns.
    """

    counts: tuple[int, ...]
    first: NDArray[np.intp]
    parts: FloatArray
    fixed: FloatArray
    keys: tuple[str, ...]
    estimate: FloatArray  # NaN where there is none
    below: FloatArray
    above: FloatArray
    common: FloatArray

    @property
    def choices_ns(self) -> FloatArray:
        """What each choice costs, NaN where an operator that it needs has no latency."""
        known = np.nan_to_num(self.estimate)
        return np.where(self.parts @ np.isnan(self.estimate) > 0, np.nan, self.parts @ known)

    @property
    def fixed_ns(self) -> float:
        """What every network costs whatever its choices; NaN where a latency is missing."""
        lacks = (self.fixed > 0) & np.isnan(self.estimate)
        return math.nan if lacks.any() else float(self.fixed @ np.nan_to_num(self.estimate))

    def counted(self, archs: NDArray[np.integer]) -> FloatArray:
        """How often networks of an additive space have each operator: (n, layers) to (n, operators)."""
        chosen = np.zeros((len(archs), len(self.parts)), dtype=np.float32)
        np.put_along_axis(chosen, archs + self.first, 1.0, axis=1)
        return (chosen @ self.parts.astype(np.float32)).astype(np.float64) + self.fixed  # small whole numbers: exact


def layer_costs(prices: Prices, space: Space) -> LayerCosts:
    """The costs of a space's choices."""
    index: dict[str, int] = {}
    priced: list[Price | None] = []

    def position(operator: Operator) -> int:
        if operator.key not in index:
            index[operator.key] = len(priced)
            priced.append(prices.of(operator))
        return index[operator.key]

    choices = [choice for layer in space.layers for choice in layer.choices]
    needed = [[(position(o), n) for o, n in choice.parts if not o.is_nothing] for choice in choices]
    always = [(position(o), n) for o, n in space.fixed if not o.is_nothing]
    prices.refuse_mixture(price.row for price in priced if price is not None)
    parts, fixed = np.zeros((len(choices), len(priced))), np.zeros(len(priced))
    for row, pairs in enumerate(needed):
        for column, count in pairs:
            parts[row, column] += count
    for column, count in always:
        fixed[column] += count
    counts = tuple(len(layer.choices) for layer in space.layers)
    return LayerCosts(
        counts=counts,
        first=np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.intp),
        parts=parts,
        fixed=fixed,
        keys=tuple(index),
        estimate=np.array([math.nan if p is None else p.estimate for p in priced]),
        below=np.array([0.0 if p is None else p.estimate - p.low for p in priced]),
        above=np.array([0.0 if p is None else p.high - p.estimate for p in priced]),
        common=np.array([0.0 if p is None else p.common_share for p in priced]),
    )
