"""One table's prices for one space, made ready once and asked often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from lutfarm.lut.calibration.calibrated import CorrectedBulk, Correction
from lutfarm.lut.calibration.design import Estimate
from lutfarm.lut.prediction.layer_latencies import LayerCosts, layer_costs
from lutfarm.lut.prediction.operator_latencies import Prices
from lutfarm.lut.prediction.predict_many import AdditiveBulk, IntArray
from lutfarm.lut.prediction.predict_many_composed import ComposedBulk
from lutfarm.lut.prediction.predict_network import SUM, Prediction, missing_entry, predict
from lutfarm.lut.schema.calibration_record import Calibration
from lutfarm.statistics.samples.process import FloatArray
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.spaces.base import Space


@dataclass(frozen=True, slots=True)
class PricedSpace:
    """Predictions of one space from one device's and backend's entries, corrected where the table is calibrated for it."""

    prices: Prices
    space: Space
    costs: LayerCosts  # corrected ones, with `intercept_ns` on top of every network
    intercept: float
    how: str  # which operators are added up, for Prediction.composed
    _correction: Correction | None = field(repr=False)
    _bulk: AdditiveBulk | CorrectedBulk | ComposedBulk = field(repr=False)

    @classmethod
    def of(
        cls, prices: Prices, space: Space, calibration: Calibration | None, estimates: Mapping[str, Estimate], *, how: str = SUM
    ) -> PricedSpace:
        """Reads the space's choices, and fits the calibration.  Raises SpecError where that does not fit the space.

        `estimates`: the operators as a calibration takes them.
        """
        plain = layer_costs(prices, space)
        if calibration is None:
            compose = partial(_sums, prices, space)
            bulk = AdditiveBulk(plain) if space.additive else ComposedBulk(plain.counts, compose)
            return cls(prices, space, plain, 0.0, how, None, bulk)
        correction = Correction.fit(calibration, prices, space, estimates)
        intercept_ns, costs = correction.costs(plain)
        corrected = (
            CorrectedBulk(correction, plain, intercept_ns, costs)
            if space.additive
            else ComposedBulk(plain.counts, correction.compose)
        )
        return cls(prices, space, costs, intercept_ns, how, correction, corrected)

    def one(self, arch: Sequence[int], *, allow_partial: bool) -> Prediction:
        """See `predict`."""
        prediction = (
            predict(self.prices, self.space, arch, allow_partial=allow_partial)
            if self._correction is None
            else self._correction.predict(arch, allow_partial=allow_partial)
        )
        return replace(prediction, composed=self.how + prediction.composed.removeprefix(SUM))

    def many(self, archs: IntArray, *, interval: bool) -> FloatArray:
        """Shape (n,) in ns, or (n, 3) with the interval.  Raises SpecError, MissingEntry."""
        checked = self._checked(np.asarray(archs))
        if not len(checked):
            return np.empty((0, 3) if interval else 0)
        latencies_ns = self._bulk.intervals_ns(checked) if interval else self._bulk.estimates(checked)
        lacking = np.flatnonzero(np.isnan(latencies_ns if latencies_ns.ndim == 1 else latencies_ns[:, 0]))
        if len(lacking):
            self.one(tuple(int(choice) for choice in checked[int(lacking[0])]), allow_partial=False)
        return latencies_ns

    def matrix(self) -> FloatArray:
        """Shape (layers, most choices of a layer) in ns, NaN where a layer has no such choice.  Raises MissingEntry."""
        costs = self.costs
        self._refuse_lacks(costs.parts.sum(axis=0))
        latencies_ns = np.full((len(costs.counts), max(costs.counts)), np.nan)
        for layer, (first, count) in enumerate(zip(costs.first, costs.counts, strict=True)):
            latencies_ns[layer, :count] = costs.choices_ns[first : first + count]
        return latencies_ns

    def fixed_ns(self) -> float:
        """What every network costs whatever its choices.  Raises MissingEntry."""
        self._refuse_lacks(self.costs.fixed)
        return self.costs.fixed_ns + self.intercept

    def _refuse_lacks(self, used: FloatArray) -> None:
        needed = np.flatnonzero(used)
        missing = [self.costs.keys[i] for i in needed if np.isnan(self.costs.estimate[i])]
        if missing:
            raise missing_entry(self.prices, missing, len(needed))

    def _checked(self, archs: IntArray) -> IntArray:
        counts = np.array(self.costs.counts)
        if archs.shape == (0,):  # as an empty list comes: nothing says how long its rows would be
            archs = np.empty((0, len(counts)), dtype=np.intp)
        if archs.ndim != 2 or archs.shape[1] != len(counts):
            raise SpecError(f"{self.space.name}: an array of shape (n, {len(counts)}) is needed, not {archs.shape}")
        if archs.dtype.kind not in "iu":
            raise SpecError(f"{self.space.name}: choices are whole numbers, these are {archs.dtype}")
        if archs.size and (archs.min() < 0 or (archs.max(axis=0) >= counts).any()):
            row, layer = (int(index) for index in np.argwhere((archs < 0) | (archs >= counts))[0])
            raise SpecError(
                f"{self.space.name}: archs[{row}, {layer}] is {archs[row, layer]}; layer "
                f"{self.space.layers[layer].name!r} has choices 0 to {counts[layer] - 1}"
            )
        return archs


def _sums(prices: Prices, space: Space, archs: IntArray) -> FloatArray:
    predictions = [predict(prices, space, arch) for arch in archs.tolist()]
    return np.array([(one.estimate, one.low or 0.0, one.high or 0.0) for one in predictions]).reshape(-1, 3)
