"""A table's calibration at work: fitted to its entries when it is first asked for, then asked often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lutfarm.lut.calibration.design import Estimate, Terms, Toward
from lutfarm.lut.calibration.posterior import Posterior, calibrate
from lutfarm.lut.calibration.shared_effects import features_of, space_keys
from lutfarm.lut.prediction.layer_latencies import LayerCosts
from lutfarm.lut.prediction.operator_latencies import Prices
from lutfarm.lut.prediction.predict_many import AdditiveBulk, IntArray, chunks
from lutfarm.lut.prediction.predict_network import Prediction, needs, predict
from lutfarm.lut.schema.calibration_record import Calibration
from lutfarm.statistics.samples.process import FloatArray
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.spaces.base import Space


@dataclass(frozen=True, slots=True)
class Correction:
    """What measured networks say of one device's and backend's entries, for one space."""

    calibration: Calibration
    prices: Prices
    space: Space
    posterior: Posterior = field(repr=False)
    _toward: Toward = field(repr=False)
    _column_of: Mapping[str, int] = field(repr=False)  # of the space's operators that have a latency above zero

    @classmethod
    def fit(cls, calibration: Calibration, prices: Prices, space: Space, estimates: Mapping[str, Estimate]) -> Correction:
        """Raises SpecError where a network is none of the space, or needs an operator that has no entry."""
        _check_networks(calibration, space)
        entries = {key: estimate for key in space_keys(space) if (estimate := estimates.get(key)) and estimate.estimate > 0}
        prices.refuse_mixture(price.row for key in entries if (price := prices.at(key)) is not None)
        features = features_of(space, entries)
        posterior = calibrate(
            calibration.observed, entries, features, priors=calibration.priors, confidence=calibration.confidence
        )
        toward = posterior.toward(Terms.of(tuple(entries), entries, features))
        return cls(calibration, prices, space, posterior, toward, {key: at for at, key in enumerate(entries)})

    def predict(self, arch: Sequence[int], *, allow_partial: bool) -> Prediction:
        """As `predict_network.predict`; a network that lacks operators is not corrected."""
        plain = predict(self.prices, self.space, arch, allow_partial=allow_partial)
        if plain.missing:
            return plain
        estimate_ns, low_ns, high_ns = (float(ns) for ns in self.compose(np.array([arch], dtype=np.int64))[0])
        return replace(
            plain,
            estimate=estimate_ns,
            low=low_ns,
            high=high_ns,
            flags=(*sorted({*plain.flags, *self.calibration.flags}), *self.posterior.diagnostics.flags),
            calibrated_on=len(self.calibration.networks),
            composed=f"{plain.composed}, {self.calibration.describe()}",
        )

    def compose(self, archs: IntArray) -> FloatArray:
        """(n, layers) to (n, 3): estimate, low, high in ns; raises MissingEntry."""
        counts = np.zeros((len(archs), len(self._column_of)))
        for row, arch in enumerate(archs.tolist()):
            needed = needs(self.space.composition(arch))
            if any(operator.key not in self._column_of for operator in needed):
                predict(self.prices, self.space, arch)  # says what is missing
            for operator, count in needed.items():
                if operator.key in self._column_of:
                    counts[row, self._column_of[operator.key]] = count
        return self.posterior.intervals_ns(self._toward, counts)

    def costs(self, plain: LayerCosts) -> tuple[float, LayerCosts]:
        """The intercept in ns, and costs in which each operator takes what it takes inside networks."""
        intercept_ns, each_ns = self.posterior.line_ns(self._toward)
        corrected = plain.estimate.copy()  # NaN where there is none
        for at, key in enumerate(plain.keys):
            if key in self._column_of:
                corrected[at] = each_ns[self._column_of[key]]
        return intercept_ns, replace(plain, estimate=corrected)

    def intervals_ns(self, plain: LayerCosts, archs: IntArray) -> FloatArray:
        """Of an additive space: (n, 3), NaN where a latency is missing."""
        rows = np.array([self._column_of.get(key, -1) for key in plain.keys], dtype=np.intp)
        intervals = np.empty((len(archs), 3))
        for part in chunks(len(archs)):
            counted = plain.counted(archs[part])
            counts = np.zeros((len(counted), len(self._column_of)))
            counts[:, rows[rows >= 0]] = counted[:, rows >= 0]
            intervals[part] = self.posterior.intervals_ns(self._toward, counts)
            intervals[part][counted[:, np.isnan(plain.estimate)].any(axis=1)] = np.nan
        return intervals


class CorrectedBulk:
    """Latencies of architectures of an additive space as rows of choice indices, shape (n, layers), calibrated."""

    def __init__(self, correction: Correction, plain: LayerCosts, intercept_ns: float, corrected: LayerCosts) -> None:
        self._correction, self._plain = correction, plain
        self._bulk = AdditiveBulk(corrected, intercept_ns)

    def estimates(self, archs: IntArray) -> FloatArray:
        """Shape (n,); NaN where a latency is missing."""
        if not self._plain.fixed.any():  # a network of nothing takes nothing, no intercept either
            return self.intervals_ns(archs)[:, 0]
        sums = self._bulk.estimates(archs)
        return np.maximum(sums, 0.0, out=sums)

    def intervals_ns(self, archs: IntArray) -> FloatArray:
        """Shape (n, 3): estimate, low, high; the interval is that of the network as it would be measured."""
        return self._correction.intervals_ns(self._plain, archs)


def composed(space: Space, arch: Sequence[int]) -> dict[str, int]:
    """The operators of a network by key, without what is nothing by structure."""
    return {operator.key: count for operator, count in needs(space.composition(arch)).items()}


def _check_networks(calibration: Calibration, space: Space) -> None:
    """What was measured has to be what the space makes of these choices today."""
    for position, network in enumerate(calibration.observed):
        where = f"the calibration for {space.name}: networks[{position}]"
        try:
            composition = composed(space, network.arch)
        except (SpecError, IndexError) as error:
            raise SpecError(f"{where} is no network of the space: {str(error)[:200]}") from error
        if composition != dict(network.composition):
            raise SpecError(
                f"{where} has other operators than the space gives these choices: calibrate again (lutfarm lut validate "
                "--calibrate), or predict uncalibrated (--uncalibrated)"
            )
