"""The lower mode of levels: what a machine does when nothing slows it, told without any gate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

WIDTH, HEIGHT = 0.02, 0.25
STEPS = 20  # of the density, in one WIDTH


def lower_mode_ns(levels_ns: Sequence[float]) -> float:
    """The lowest peak of the density of their logarithms that is HEIGHT as high as the highest; Gaussian kernel, WIDTH wide."""
    logs = np.log(levels_ns)
    edges = np.arange(logs.min() - WIDTH, logs.max() + 2 * WIDTH, WIDTH / STEPS)
    weights, edges = np.histogram(logs, bins=edges)
    kernel = np.exp(-0.5 * (np.arange(-4 * STEPS, 4 * STEPS + 1) / STEPS) ** 2)
    density = np.pad(np.convolve(weights, kernel)[4 * STEPS : -4 * STEPS], 1)
    inside = density[1:-1]
    peaks = (inside >= density[:-2]) & (inside > density[2:]) & (inside >= HEIGHT * density.max())
    first = int(np.flatnonzero(peaks)[0])
    return float(np.exp((edges[first] + edges[first + 1]) / 2))
