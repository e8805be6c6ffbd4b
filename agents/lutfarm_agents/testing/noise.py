"""Noise of a simulated device, as values that compose.

True latencies are those of the uncontended device without any noise.  What an honest estimate should find is the
*estimand*, which each model's docstring names; `Noise.factor` gives it for a composition, relative to the true latency.
Iteration noise is indexed by a workload's own iterations, states of the machine by virtual time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, product
from statistics import NormalDist

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from lutfarm_agents.testing.states import Contended, Drift, Neighbour, Thermal, TwoStates

FloatArray = NDArray[np.float64]
BLOCK = 512  # factors that are drawn at a time
FURTHEST = 40.0  # log-factors beyond are no noise


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Independent iterations, log-normal round the true latency.

    Estimand: the p25 of that distribution, exp(-0.674 sigma) times the true latency, and not its median.
    """

    sigma: float = 0.02

    def blocks(self, rng: Generator) -> Iterator[FloatArray]:
        """Factors of one workload's iterations in one process, BLOCK at a time, without end."""
        while True:
            yield np.exp(rng.normal(0.0, self.sigma, BLOCK))


@dataclass(frozen=True, slots=True)
class Autocorrelated:
    """The logarithms are a stationary AR(1) series with standard deviation `sigma`.

    Estimand: as of LogNormal, since the marginal distribution is the same.  Only fewer iterations are independent:
    (1 - correlation) / (1 + correlation) of them.
    """

    sigma: float = 0.02
    correlation: float = 0.6

    def blocks(self, rng: Generator) -> Iterator[FloatArray]:
        """See LogNormal."""
        rho = self.correlation
        last = float(rng.normal(0.0, self.sigma))
        while True:
            steps: list[float] = rng.normal(0.0, self.sigma * math.sqrt(1 - rho**2), BLOCK).tolist()
            series = list(accumulate(steps, lambda before, step: rho * before + step, initial=last))
            last = series[-1]
            yield np.exp(series[1:])


@dataclass(frozen=True, slots=True)
class Spikes:
    """A share of the iterations takes `factor` times as long.

    Estimand: the p25 with its spikes, which is the quantile .25 / (1 - share) without them.
    """

    share: float = 0.02
    factor: float = 5.0

    def blocks(self, rng: Generator) -> Iterator[FloatArray]:
        """See LogNormal."""
        while True:
            yield np.where(rng.random(BLOCK) < self.share, self.factor, 1.0)


@dataclass(frozen=True, slots=True)
class ProcessOffsets:
    """Each process is faster or slower as a whole (`shared`), and each workload in it once more (`own`); SDs of logarithms.

    `varies`: the SD of the logarithm of `own` from workload to workload.  The canary has both offsets, as any workload.
    Estimand: that of the process in the middle, with both offsets at 0: the geometric mean over processes.
    """

    shared: float = 0.009
    own: float = 0.009
    varies: float = 0.0


@dataclass(frozen=True, slots=True)
class WarmUp:
    """The first iterations cost more: after loading (`fresh`), and after another workload ran (`again`).

    An iteration of more than `most_ns` has the excess of one of that length: a cold cache costs so much and no more.
    Estimand: the warm device.  No warm-up counts.
    """

    fresh: tuple[float, ...] = (2.2, 1.3, 1.1, 1.05)
    again: tuple[float, ...] = (1.6, 1.1)
    most_ns: float = 250_000.0


@dataclass(frozen=True, slots=True)
class ClockJumps:
    """The clock is set forward (or back) by `jump_ns`, every `every_s` seconds on average.

    Estimand: unchanged; an iteration during which the clock jumps is no measurement.
    """

    every_s: float = 1.0
    jump_ns: int = 50_000_000


@dataclass(frozen=True, slots=True)
class CanaryChange:
    """The canary takes `factor` times as long in the processes from number `from_process` on: another version of it.

    Estimand: unchanged; what the workloads take does not depend on the canary.
    """

    factor: float = 1.4
    from_process: int = 3


IterationNoise = LogNormal | Autocorrelated | Spikes
MachineState = TwoStates | Drift | Thermal | Neighbour | Contended
Part = IterationNoise | MachineState | ProcessOffsets | WarmUp | ClockJumps | CanaryChange


@dataclass(frozen=True, slots=True)
class Noise:
    """A composition; factors multiply.  `compose` makes one from parts in any order."""

    iterations: tuple[IterationNoise, ...] = ()
    states: tuple[MachineState, ...] = ()
    offsets: ProcessOffsets = ProcessOffsets(0.0, 0.0)
    warm_up: WarmUp = WarmUp((), ())
    jumps: ClockJumps | None = None
    canary: CanaryChange | None = None

    def factor(self, share: float = 0.25) -> float:
        """The estimand over the true latency: a quantile of the uncontended iterations of the process in the middle.

        Drift is not in it, as it depends on when one measures: see Machine.drift.
        """
        sigma = math.sqrt(sum(part.sigma**2 for part in self.iterations if not isinstance(part, Spikes)))
        spikes = [part for part in self.iterations if isinstance(part, Spikes)]
        return math.exp(_quantile(sigma, spikes, share))

    def series(self, rng: Generator, cost_ns: float) -> Iterator[list[float]]:
        """What one workload's iterations take in one process with this noise, block by block, in ns."""
        streams = [part.blocks(rng) for part in self.iterations]
        while True:
            block = np.full(BLOCK, cost_ns)
            for stream in streams:
                block *= next(stream)
            yield block.tolist()


def compose(*parts: Part) -> Noise:
    """One noise from parts.  Of offsets, warm-up, clock and canary the last one counts."""
    found = Noise()
    for part in parts:
        if isinstance(part, LogNormal | Autocorrelated | Spikes):
            found = replace(found, iterations=(*found.iterations, part))
        elif isinstance(part, ProcessOffsets):
            found = replace(found, offsets=part)
        elif isinstance(part, WarmUp):
            found = replace(found, warm_up=part)
        elif isinstance(part, ClockJumps):
            found = replace(found, jumps=part)
        elif isinstance(part, CanaryChange):
            found = replace(found, canary=part)
        else:
            found = replace(found, states=(*found.states, part))
    return found


def _quantile(sigma: float, spikes: Sequence[Spikes], share: float) -> float:
    """Of the mixture over which spikes strike, of the logarithm: by bisection."""
    components: list[tuple[float, float]] = []
    for struck in product((False, True), repeat=len(spikes)):
        weight = math.prod(s.share if hit else 1 - s.share for hit, s in zip(struck, spikes, strict=True))
        shift = sum(math.log(s.factor) for hit, s in zip(struck, spikes, strict=True) if hit)
        components.append((weight, shift))

    def below(value: float) -> float:
        if sigma == 0:
            return sum(weight for weight, shift in components if shift <= value)
        normal = NormalDist(0.0, sigma)
        return sum(weight * normal.cdf(value - shift) for weight, shift in components)

    low, high = -FURTHEST, FURTHEST
    while high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (low, middle) if below(middle) >= share else (middle, high)
    return high
