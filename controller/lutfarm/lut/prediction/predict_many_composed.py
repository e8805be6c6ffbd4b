"""Predicting many architectures of a space whose networks are more than the sum of their choices."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from lutfarm.lut.prediction.predict_many import IntArray
from lutfarm.statistics.samples.process import FloatArray

KEPT_LIMIT = 2_000_000  # architectures of a space whose results are kept: 48 MB


class ComposedBulk:
    """Each different architecture is composed once, and kept where the space is small (NAS-Bench-201: 15,625)."""

    def __init__(self, counts: tuple[int, ...], compose: Callable[[IntArray], FloatArray]) -> None:
        """`compose`: different architectures, (n, layers), to (n, 3) in ns: estimate, low, high; raises MissingEntry."""
        self._counts = counts
        self._compose = compose
        size = math.prod(counts)
        self._kept = np.full((size, 3), np.nan) if size <= KEPT_LIMIT else None

    def estimates(self, archs: IntArray) -> FloatArray:
        """Shape (n,).  Raises MissingEntry."""
        return self.intervals_ns(archs)[:, 0]

    def intervals_ns(self, archs: IntArray) -> FloatArray:
        """Shape (n, 3): estimate, low, high.  Raises MissingEntry."""
        if self._kept is None:
            different, where = np.unique(archs, axis=0, return_inverse=True)
            return self._compose(different)[where.reshape(-1)]
        indices = np.asarray(np.ravel_multi_index(tuple(archs.T), self._counts))
        new = np.unique(indices[np.isnan(self._kept[indices, 0])])
        if len(new):
            self._kept[new] = self._compose(np.stack(np.unravel_index(new, self._counts), axis=1))
        return self._kept[indices]
