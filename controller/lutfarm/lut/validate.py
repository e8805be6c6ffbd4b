"""How well predictions hold up against measured networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lutfarm.statistics.distributions import kendall, spearman


@dataclass(frozen=True, slots=True)
class Validation:
    """Predicted against measured; every error is relative to the measured latency."""

    n: int
    mape: float                                    # mean of |error|
    bias: float                                    # mean of the signed error: above 0, predicted too slow
    worst: float                                   # largest |error|
    kendall_tau: float | None                      # None below two networks, or where all are equal
    spearman: float | None
    within_5_percent: float                        # share of the networks
    within_10_percent: float
    unit: str = ""                                 # where the networks were measured; empty: not said
    backend_key: str = ""
    space: str = ""


def compare(
    predicted_ns: Sequence[float],
    measured_ns: Sequence[float],
    *,
    unit: str = "",
    backend_key: str = "",
    space: str = "",
) -> Validation:
    """The error of predictions, in the order of what was measured.

    Raises ValueError unless both are equally long, not empty, finite, and every measured latency is above zero.
    """
    predicted, measured = np.asarray(predicted_ns, dtype=np.float64), np.asarray(measured_ns, dtype=np.float64)
    if predicted.shape != measured.shape or predicted.ndim != 1 or not len(predicted):
        raise ValueError(f"{predicted.shape} predictions for {measured.shape} networks; as many are needed, at least 1")
    if not (np.isfinite(predicted).all() and np.isfinite(measured).all() and (measured > 0).all()):
        raise ValueError("latencies must be finite, measured ones above zero")
    errors = predicted / measured - 1
    sizes = np.abs(errors)
    return Validation(
        n=len(errors),
        mape=float(sizes.mean()),
        bias=float(errors.mean()),
        worst=float(sizes.max()),
        kendall_tau=kendall(predicted, measured)[0],
        spearman=spearman(predicted, measured),
        within_5_percent=float((sizes <= 0.05).mean()),
        within_10_percent=float((sizes <= 0.10).mean()),
        unit=unit,
        backend_key=backend_key,
        space=space,
    )
