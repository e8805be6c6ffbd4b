"""What the report shows, as values."""

from __future__ import annotations

from dataclasses import dataclass

from lutfarm.lut.schema.validation_record import Network, Validation


@dataclass(frozen=True, slots=True)
class Spot:
    """A network in a plot: a prediction and what was measured, in ns, with intervals where there are any."""

    predicted: float
    measured: float
    predicted_bounds: tuple[float, float]  # the prediction twice, where it has no interval
    measured_bounds: tuple[float, float]

    @property
    def relative_error(self) -> float:
        """(predicted - measured) / measured."""
        return self.predicted / self.measured - 1


def plain_spots(validation: Validation) -> list[Spot]:
    """As the sum of entries predicts the networks that the figures are of."""
    return [_spot(n, n.predicted, n.predicted_low, n.predicted_high) for n in validation.used if n.predicted is not None]


def calibrated_spots(validation: Validation) -> list[Spot]:
    """As the calibrated table predicts them; none where there is no calibration."""
    return [_spot(n, n.calibrated, n.calibrated_low, n.calibrated_high) for n in validation.used if n.calibrated is not None]


def _spot(network: Network, middle_ns: float, low_ns: float | None, high_ns: float | None) -> Spot:
    measured_ns = network.measured or 0.0
    return Spot(
        middle_ns,
        measured_ns,
        (middle_ns if low_ns is None else low_ns, middle_ns if high_ns is None else high_ns),
        (
            measured_ns if network.measured_low is None else network.measured_low,
            measured_ns if network.measured_high is None else network.measured_high,
        ),
    )
