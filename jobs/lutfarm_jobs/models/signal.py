"""What is known about a tensor before any weight is drawn: its mean, and what its variance consists of.

Weights have mean zero, so the outputs of two layers are uncorrelated however their inputs are related;
a tensor is therefore described as a linear combination of layer outputs ("sources").  That is exact for
additions, which a plain sum of variances is not: NAS-Bench-201 adds a tensor to itself four times a cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from lutfarm_jobs.models.graph import Activation

BIAS_SHARE = 0.5
"""Standard deviation of a layer's per-channel bias, as a share of its output's.

What is left of a channel after global pooling is its bias; a half keeps squeeze-excite inputs above 0.1.
"""

_Z = np.linspace(-6.0, 6.0, 1201)
_DENSITY = np.exp(-(_Z**2) / 2) / np.exp(-(_Z**2) / 2).sum()


@dataclass(frozen=True, slots=True)
class Source:
    """A layer's output, seen through so many 3x3 average pools."""

    node: int
    pools: int = 0


@dataclass(frozen=True, slots=True)
class Signal:
    """A tensor: its mean, and the coefficient of each source (in units of `deviations[source.node]`)."""

    mean: float
    parts: Mapping[Source, float]

    def variance(self, deviations: Mapping[int, float]) -> float:
        """Variance around `mean`, given the standard deviation of each source."""
        return sum(
            a * b * deviations[s.node] ** 2 * _overlap((s.pools + t.pools) / 2)
            for s, a in self.parts.items()
            for t, b in self.parts.items()
            if s.node == t.node
        )

    def scaled(self, factor: float) -> Signal:
        """Every coefficient times `factor`; the mean as it is."""
        return replace(self, parts={source: factor * c for source, c in self.parts.items()})

    def pooled(self) -> Signal:
        """Behind one more average pool."""
        return replace(self, parts={Source(s.node, s.pools + 1): c for s, c in self.parts.items()})


def add(first: Signal, second: Signal) -> Signal:
    """The sum of two tensors, correlated where they have sources in common."""
    parts = dict(first.parts)
    for source, coefficient in second.parts.items():
        parts[source] = parts.get(source, 0.0) + coefficient
    return Signal(first.mean + second.mean, parts)


def _overlap(pools: float) -> float:
    """Variance left of a unit source behind `pools` 3x3 average pools: white noise becomes a Gaussian blur.

    n box filters have a variance of 2n/3 per axis, and white noise behind a blur of variance v keeps
    1 / (4 pi v); the bias passes unchanged.
    """
    noise = 1.0 if pools == 0 else min(1.0, 3 / (8 * np.pi * pools))
    return BIAS_SHARE**2 + (1 - BIAS_SHARE**2) * float(noise)


def activate(values: np.ndarray, activation: Activation) -> np.ndarray:
    """The activation function itself, element by element, in the dtype of `values`."""
    if activation == "relu":
        return np.maximum(values, 0)
    if activation == "relu6":
        return np.clip(values, 0, 6)
    if activation == "h_sigmoid":
        return np.clip(values + 3, 0, 6) / 6
    if activation == "h_swish":
        return values * (np.clip(values + 3, 0, 6) / 6)
    return values


def activated_moments(mean: float, deviation: float, activation: Activation) -> tuple[float, float]:
    """Mean and standard deviation of the activation of a normally distributed value."""
    values = activate(mean + deviation * _Z, activation)
    new_mean = float((values * _DENSITY).sum())
    return new_mean, float(np.sqrt(((values - new_mean) ** 2 * _DENSITY).sum()))
