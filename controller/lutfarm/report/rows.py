"""What the report shows, as values."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

Grade = Literal["precise", "provisional", "wide", "disturbed"]
GRADES: tuple[Grade, ...] = get_args(Grade)

DISTURBED = frozenset({"no_quiet_window", "contended", "preempted", "drift", "throttled"})
PROVISIONAL = frozenset({"reference_provisional", "reference_stale"})


@dataclass(frozen=True, slots=True)
class NetworkRow:
    """A whole network: what the table predicted, what was measured, with intervals where there are any."""

    name: str
    unit: str
    backend: str
    predicted_ns: float
    measured_ns: float
    predicted_low_ns: float | None = None
    predicted_high_ns: float | None = None
    measured_low_ns: float | None = None
    measured_high_ns: float | None = None

    @property
    def relative_error(self) -> float:
        """(predicted - measured) / measured."""
        return self.predicted_ns / self.measured_ns - 1

    @property
    def predicted_bounds_ns(self) -> tuple[float, float]:
        """The interval, or the prediction twice."""
        return (self.predicted_ns if self.predicted_low_ns is None else self.predicted_low_ns,
                self.predicted_ns if self.predicted_high_ns is None else self.predicted_high_ns)

    @property
    def measured_bounds_ns(self) -> tuple[float, float]:
        """The interval, or the measured latency twice."""
        return (self.measured_ns if self.measured_low_ns is None else self.measured_low_ns,
                self.measured_ns if self.measured_high_ns is None else self.measured_high_ns)


def grade_of(flags: Collection[str]) -> Grade:
    """The worst thing that the flags say: disturbed, wider than asked, provisional reference, or none of them."""
    if DISTURBED.intersection(flags):
        return "disturbed"
    if "converged" not in flags:
        return "wide"
    return "provisional" if PROVISIONAL.intersection(flags) else "precise"
