"""What the entries of a table have in common: the shift of a whole process."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LEAST_ROUNDS = 3
LEAST_ENTRIES = 5


def common_share(levels_by_entry: Sequence[Sequence[tuple[str, float]]], spreads: Sequence[float]) -> float:
    """Which share of the variance between processes all entries of a process have in common, 0 to 1.

    `levels_by_entry`: for each entry (round id, process-level estimate in ns); `spreads`: for each its relative
    spread.  One process measures many entries, and its shift (memory layout, the core's level) moves them together:
    errors of a sum of entries do not average out as independent ones would.  It is the intraclass correlation by the
    method of moments: mean product of the standardised residuals of two entries in one round, over their mean square.
    Below LEAST_ROUNDS rounds or LEAST_ENTRIES entries it can't be told, and is 1: the widest.
    """
    rounds: dict[str, int] = {}
    places: list[int] = []
    residuals: list[float] = []
    entries = 0
    for levels, spread in zip(levels_by_entry, spreads, strict=True):
        if len(levels) < 2:
            continue
        entries += 1
        logs = np.log([level_ns for _, level_ns in levels])
        # A residual from an entry's own mean of n values has (n - 1) / n of the variance.
        scale = spread * np.sqrt(1 - 1 / len(levels))
        residuals.extend(((logs - logs.mean()) / scale).tolist())
        places.extend(rounds.setdefault(round_id, len(rounds)) for round_id, _ in levels)
    if len(rounds) < LEAST_ROUNDS or entries < LEAST_ENTRIES:
        return 1.0
    values, place = np.array(residuals), np.array(places)
    sums, squares, counts = (np.bincount(place, weights) for weights in (values, values**2, np.ones_like(values)))
    pairs, total = float((counts * (counts - 1)).sum()), float(squares.sum())
    if pairs == 0 or total == 0:
        return 1.0
    product = float((sums**2 - squares).sum()) / pairs
    return float(np.clip(product / (total / len(values)), 0.0, 1.0))
