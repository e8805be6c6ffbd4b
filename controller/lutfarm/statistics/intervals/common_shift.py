"""What the entries of a table have in common: the shift of a whole process."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lutfarm.statistics.samples.process import FloatArray

LEAST_ROUNDS = 3
LEAST_ENTRIES = 5


def common_share(estimates_by_entry: Sequence[Sequence[tuple[str, float]]], spreads: Sequence[float]) -> float:
    """Which share of the variance between processes all entries of a process have in common, 0 to 1.

    `estimates_by_entry`: for each entry (round id, process-level estimate in ns); `spreads`: for each its relative
    spread.  One process measures many entries, and its shift (memory layout, the core's level) moves them together:
    errors of a sum of entries do not average out as independent ones would.  It is the intraclass correlation by the
    method of moments: the products of the standardised residuals of two entries in one round over what they would
    be were all in common, over the mean square.  Below LEAST_ROUNDS rounds or LEAST_ENTRIES entries it can't be told, and is
    1: the widest.
    """
    several = [(estimates, spread) for estimates, spread in zip(estimates_by_entry, spreads, strict=True) if len(estimates) > 1]
    rounds = {
        round_id: at for at, round_id in enumerate({round_id: None for estimates, _ in several for round_id, _ in estimates})
    }
    if len(rounds) < LEAST_ROUNDS or len(several) < LEAST_ENTRIES:
        return 1.0
    residuals, there = np.zeros((len(several), len(rounds))), np.zeros((len(several), len(rounds)))
    for row, (estimates, spread) in enumerate(several):
        logs = np.log([estimate_ns for _, estimate_ns in estimates])
        columns = [rounds[round_id] for round_id, _ in estimates]
        residuals[row, columns] = (logs - logs.mean()) / spread
        there[row, columns] = 1.0
    total = float(np.square(residuals).sum())
    products = float(np.square(residuals.sum(axis=0)).sum()) - total
    pairs = _pairs(there)
    if pairs <= 0 or total == 0:
        return 1.0
    return float(np.clip(products / pairs / (total / float((there.sum(axis=1) - 1).sum())), 0.0, 1.0))


def _pairs(there: FloatArray) -> float:
    """What the products add up to where all of the variance, 1, is in common.  `there`: entries x rounds, 1 where measured.

    Residuals are from an entry's own mean over its n rounds.  Two entries with m rounds in common give in each of these
    1 - 1/n - 1/n' + m / (n n'); summed over all pairs that needs only matrices of rounds x rounds.
    """
    weights = there / there.sum(axis=1, keepdims=True)
    in_round = there.sum(axis=0)
    everywhere = float(in_round @ in_round - 2 * in_round @ weights.sum(axis=0) + np.square(there.T @ weights).sum())
    return everywhere - float((there.sum(axis=1) - 1).sum())
