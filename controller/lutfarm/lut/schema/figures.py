"""How well predictions hold up against measured networks: the figures, and how they are counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lutfarm.statistics.intervals.distributions import kendall, spearman


@dataclass(frozen=True, slots=True)
class Figures:
    """Predicted against measured; every error is relative to the measured latency."""

    n: int
    mape: float  # mean of |error|
    bias: float  # mean of the signed error: above 0, predicted too slow
    worst: float  # largest |error|
    kendall_tau: float | None  # None below two networks, or where all are equal
    spearman: float | None
    within_5_percent: float  # share of the networks
    within_10_percent: float


def words(figures: Figures) -> str:
    """The figures that one quotes with a prediction."""
    tau = "" if figures.kendall_tau is None else f", Kendall tau {figures.kendall_tau:.2f}"
    return f"MAPE {100 * figures.mape:.1f} %, bias {100 * figures.bias:+.1f} %{tau}"


def compare(predictions: Sequence[float], measurements: Sequence[float]) -> Figures:
    """The error of predictions, in the order of what was measured.

    Raises ValueError unless both are equally long, not empty, finite, and every measured latency is above zero.
    """
    predicted, measured = np.asarray(predictions, dtype=np.float64), np.asarray(measurements, dtype=np.float64)
    if predicted.shape != measured.shape or predicted.ndim != 1 or not len(predicted):
        raise ValueError(f"{predicted.shape} predictions for {measured.shape} networks; as many are needed, at least 1")
    if not (np.isfinite(predicted).all() and np.isfinite(measured).all() and (measured > 0).all()):
        raise ValueError("latencies must be finite, measured ones above zero")
    errors = predicted / measured - 1
    sizes = np.abs(errors)
    return Figures(
        n=len(errors),
        mape=float(sizes.mean()),
        bias=float(errors.mean()),
        worst=float(sizes.max()),
        kendall_tau=kendall(predicted, measured),
        spearman=spearman(predicted, measured),
        within_5_percent=float((sizes <= 0.05).mean()),
        within_10_percent=float((sizes <= 0.10).mean()),
    )


def figures_of(pairs: Sequence[tuple[float | None, float | None]]) -> Figures | None:
    """Of the pairs (predicted, measured) that have both; None below two of them."""
    known = [(one, other) for one, other in pairs if one is not None and other is not None]
    return compare([one for one, _ in known], [other for _, other in known]) if len(known) > 1 else None


def share(answers: Sequence[bool | None]) -> float | None:
    """How many of those that can be told are true; None where none can be told."""
    known = [one for one in answers if one is not None]
    return sum(known) / len(known) if known else None
