"""Predicting many architectures of a space whose networks are more than the sum of their choices."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from lutfarm.lut.bulk import IntArray
from lutfarm.lut.costs import FloatArray
from lutfarm.lut.predict import Prediction

KEPT_LIMIT = 2_000_000                             # architectures of a space whose results are kept: 48 MB


class ComposedBulk:
    """Each different architecture is composed once, and kept where the space is small (NAS-Bench-201: 15,625)."""

    def __init__(self, counts: tuple[int, ...], predict_one: Callable[[tuple[int, ...]], Prediction]) -> None:
        self._counts = counts
        self._predict_one = predict_one
        size = math.prod(counts)
        self._kept = np.full((size, 3), np.nan) if size <= KEPT_LIMIT else None

    def estimates_ns(self, archs: IntArray) -> FloatArray:
        """Shape (n,).  Raises MissingEntry."""
        return self.intervals_ns(archs)[:, 0]

    def intervals_ns(self, archs: IntArray) -> FloatArray:
        """Shape (n, 3): estimate, low, high.  Raises MissingEntry."""
        if self._kept is None:
            different, where = np.unique(archs, axis=0, return_inverse=True)
            return np.array([self._composed(row) for row in different]).reshape(-1, 3)[where.reshape(-1)]
        places = np.asarray(np.ravel_multi_index(tuple(archs.T), self._counts))
        for place in np.unique(places[np.isnan(self._kept[places, 0])]):
            self._kept[place] = self._composed(np.array(np.unravel_index(int(place), self._counts)))
        return self._kept[places]

    def _composed(self, row: IntArray) -> tuple[float, float, float]:
        one = self._predict_one(tuple(int(choice) for choice in row))
        return one.latency_ns, one.low_ns or 0.0, one.high_ns or 0.0
