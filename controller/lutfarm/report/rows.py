"""What the report shows, as values."""

from __future__ import annotations

from dataclasses import dataclass

from lutfarm.lut.schema.validation_record import Network, Validation


@dataclass(frozen=True, slots=True)
class Spot:
    """A network in a plot: a prediction and what was measured, in ns, with intervals where there are any."""

    predicted_ns: float
    measured_ns: float
    predicted_bounds_ns: tuple[float, float]  # the prediction twice, where it has no interval
    measured_bounds_ns: tuple[float, float]

    @property
    def relative_error(self) -> float:
        """(predicted - measured) / measured."""
        return self.predicted_ns / self.measured_ns - 1


def plain_spots(validation: Validation) -> list[Spot]:
    """As the sum of entries predicts the networks that the figures are of."""
    return [
        _spot(n, n.predicted_ns, n.predicted_low_ns, n.predicted_high_ns) for n in validation.used if n.predicted_ns is not None
    ]


def calibrated_spots(validation: Validation) -> list[Spot]:
    """As the calibrated table predicts them; none where there is no calibration."""
    return [
        _spot(n, n.calibrated_ns, n.calibrated_low_ns, n.calibrated_high_ns)
        for n in validation.used
        if n.calibrated_ns is not None
    ]


def _spot(network: Network, middle_ns: float, low_ns: float | None, high_ns: float | None) -> Spot:
    measured_ns = network.measured_ns or 0.0
    return Spot(
        middle_ns,
        measured_ns,
        (middle_ns if low_ns is None else low_ns, middle_ns if high_ns is None else high_ns),
        (
            measured_ns if network.measured_low_ns is None else network.measured_low_ns,
            measured_ns if network.measured_high_ns is None else network.measured_high_ns,
        ),
    )
