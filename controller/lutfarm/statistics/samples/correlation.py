"""How many independent iterations a correlated series is worth."""

from __future__ import annotations

import numpy as np

from lutfarm.statistics.samples.process import FloatArray


def effective_size(series: FloatArray) -> float:
    """The effective sample size of one process's iterations, 1 to n.

    n / (1 + 2 * sum of autocorrelations), summed as Geyer's initial positive sequence: pairs of neighbouring lags
    until a pair is no longer above zero (C. J. Geyer, "Practical Markov chain Monte Carlo", Statistical Science 7
    (1992) 473-483).
    Where every iteration took the same time there is nothing to correlate: n.
    """
    count = len(series)
    centred = series - series.mean()
    if count < 4 or np.ptp(series) == 0:
        return float(count)
    spectrum = np.fft.rfft(centred, 1 << (2 * count - 1).bit_length())
    products = np.fft.irfft(np.abs(spectrum) ** 2)[:count]
    correlations = products / products[0]
    pairs = correlations[: count // 2 * 2].reshape(-1, 2).sum(axis=1)
    ends = np.flatnonzero(pairs <= 0)
    total = pairs[: int(ends[0])].sum() if len(ends) else pairs.sum()
    return float(np.clip(count / max(2 * total - 1, 1e-9), 1.0, count))
