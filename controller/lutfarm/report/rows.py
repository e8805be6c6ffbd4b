"""What the report shows, as values."""
# scipy has no annotations.
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import isnan
from statistics import fmean
from typing import Any, Literal, get_args

from scipy.stats import kendalltau

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


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How far the predictions are off.  `tau` is None below two networks, or where all are equal."""

    n: int
    mape: float                                    # mean |error| / measured
    bias: float                                    # mean error / measured, signed
    worst: float                                   # the largest |error| / measured
    tau: float | None                              # Kendall's tau-b of predicted and measured


def accuracy(networks: Sequence[NetworkRow]) -> Accuracy:
    """The error of at least one prediction."""
    errors = [row.relative_error for row in networks]
    tau: float | None = None
    if len(networks) > 1:
        compared: Any = kendalltau([row.predicted_ns for row in networks], [row.measured_ns for row in networks])
        tau = None if isnan(compared.statistic) else float(compared.statistic)
    sizes = [abs(error) for error in errors]
    return Accuracy(len(errors), fmean(sizes), fmean(errors), max(sizes), tau)


def grade_of(flags: Collection[str]) -> Grade:
    """The worst thing that the flags say: disturbed, wider than asked, provisional reference, or none of them."""
    if DISTURBED.intersection(flags):
        return "disturbed"
    if "converged" not in flags:
        return "wide"
    return "provisional" if PROVISIONAL.intersection(flags) else "precise"
