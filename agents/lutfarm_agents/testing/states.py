"""What slows a simulated machine for a time: states that come and go in virtual time.

A value such as TwoStates says how; its `begin` gives the running state of one machine, a Running.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from numpy.random import Generator

NS = 1e9
FORGOTTEN = 50  # so many cycles later nothing is left of a state: draw it anew


class Running:
    """One machine's state: factors from now until `until_ns`; the machine calls `advance` then.

    `switches` counts involuntary switches so far, `stolen_ns` is what each costs.  `others`: how many cores the system shows in
    use by others.
    """

    stolen_ns = 0.0

    def __init__(self) -> None:
        self.workload = 1.0
        self.canary = 1.0
        self.until_ns = math.inf
        self.switches = 0
        self.others = 0.0

    def advance(self, now_ns: float, *, busy: bool) -> None:
        """Time has come to `now_ns`, which is `until_ns` or later; `busy` since the last call."""


@dataclass(frozen=True, slots=True)
class TwoStates:
    """A fast and a slow state, Markov in time; sojourns have a mean drawn from `fast_s` and `slow_s`, each equally often.

    `others`: how many cores the system shows in use by others in the slow one; 0: it comes from where nothing shows.
    Estimand: the fast state's latency.
    """

    workload: float = 1.5
    canary: float = 1.5
    fast_s: tuple[float, ...] = (0.005, 0.3, 20.0)
    slow_s: tuple[float, ...] = (0.005, 0.3, 10.0)
    others: float = 0.0

    def begin(self, rng: Generator, now_ns: float) -> Running:
        """In equilibrium at `now_ns`."""
        return _Switching(self, rng, now_ns)


class _Switching(Running):
    def __init__(self, model: TwoStates, rng: Generator, now_ns: float) -> None:
        super().__init__()
        self._model, self._rng = model, rng
        self._cycle_ns = (sum(model.fast_s) / len(model.fast_s) + sum(model.slow_s) / len(model.slow_s)) * NS
        self._settle(now_ns)

    def _settle(self, now_ns: float) -> None:
        # At a moment in equilibrium a sojourn is met in proportion to its mean, and what is left of it is exponential.
        model = self._model
        fast, slow = sum(model.fast_s) / len(model.fast_s), sum(model.slow_s) / len(model.slow_s)
        self._slow = bool(self._rng.random() < slow / (fast + slow))
        means = model.slow_s if self._slow else model.fast_s
        mean_s = self._rng.choice(means, p=[mean / sum(means) for mean in means])
        self._enter(now_ns, float(mean_s))

    def _enter(self, now_ns: float, mean_s: float) -> None:
        self.workload = self._model.workload if self._slow else 1.0
        self.canary = self._model.canary if self._slow else 1.0
        self.others = self._model.others if self._slow else 0.0
        self.until_ns = now_ns + float(self._rng.exponential(mean_s)) * NS

    def advance(self, now_ns: float, *, busy: bool) -> None:
        del busy
        if now_ns - self.until_ns > FORGOTTEN * self._cycle_ns:
            self._settle(now_ns)
        while self.until_ns <= now_ns:
            self._slow = not self._slow
            means = self._model.slow_s if self._slow else self._model.fast_s
            self._enter(self.until_ns, means[int(self._rng.integers(len(means)))])


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another program that comes and goes, `away_s` and `here_s` on average; slows workload and canary differently.

    While it is here the core is taken away every `switch_s`, for `stolen_s`, and the system shows one core in use.
    Estimand: the latency while it is away.
    """

    workload: float = 1.35
    canary: float = 1.2
    away_s: float = 2.0
    here_s: float = 1.0
    switch_s: float = 0.02
    stolen_s: float = 0.001

    def begin(self, rng: Generator, now_ns: float) -> Running:
        """In equilibrium at `now_ns`."""
        return _Visiting(self, rng, now_ns)


class _Visiting(Running):
    def __init__(self, model: Neighbour, rng: Generator, now_ns: float) -> None:
        super().__init__()
        self.stolen_ns = model.stolen_s * NS
        self._model, self._rng = model, rng
        states = TwoStates(model.workload, model.canary, (model.away_s,), (model.here_s,), others=1.0)
        self._states = _Switching(states, rng, now_ns)
        self._show(now_ns)

    @property
    def _here(self) -> bool:
        return self._states.workload != 1.0 or self._states.canary != 1.0

    def _show(self, now_ns: float) -> None:
        self.workload, self.canary, self.others = self._states.workload, self._states.canary, self._states.others
        self._switch_ns = now_ns + float(self._rng.exponential(self._model.switch_s)) * NS if self._here else math.inf
        self.until_ns = min(self._states.until_ns, self._switch_ns)

    def advance(self, now_ns: float, *, busy: bool) -> None:
        # A switch is one of the measuring thread: while the machine idles there are none.
        self.switches += busy and self._switch_ns <= now_ns
        if self._states.until_ns <= now_ns:
            self._states.advance(now_ns, busy=busy)
        self._show(now_ns)


@dataclass(frozen=True, slots=True)
class Contended:
    """Never quiet: something always slows both; `others`: how many cores the system shows in use by it.

    Estimand: the uncontended latency, which can't be seen on such a machine: an entry has to be flagged.
    """

    workload: float = 1.5
    canary: float = 1.4
    others: float = 0.0

    def begin(self, rng: Generator, now_ns: float) -> Running:
        """For ever."""
        del rng, now_ns
        state = Running()
        state.workload, state.canary, state.others = self.workload, self.canary, self.others
        return state


@dataclass(frozen=True, slots=True)
class Drift:
    """The machine's speed swings by `amplitude` (of the logarithm) with the period `period_s`, from a random phase.

    Estimand: the geometric mean of the latency over the sitting, from the first process to the last.  An interval over the
    processes of one sitting is no promise for the rest of the period.
    """

    amplitude: float = 0.01
    period_s: float = 600.0

    def begin(self, rng: Generator, now_ns: float) -> Running:
        """From a random phase."""
        return Drifting(self, rng, now_ns)


class Drifting(Running):
    """Steps of a thousandth of the period."""

    def __init__(self, model: Drift, rng: Generator, now_ns: float) -> None:
        super().__init__()
        self._amplitude, self._per_ns = model.amplitude, 2 * math.pi / (model.period_s * NS)
        self._phase = float(rng.uniform(0.0, 2 * math.pi))
        self.advance(now_ns, busy=False)

    def advance(self, now_ns: float, *, busy: bool) -> None:
        """See Running."""
        del busy
        step_ns = 2 * math.pi / self._per_ns / 1000
        self.workload = self.canary = math.exp(self.mean_log(now_ns, now_ns + step_ns))
        self.until_ns = now_ns + step_ns

    def mean_log(self, from_ns: float, to_ns: float) -> float:
        """The mean of the logarithm of the factor over a stretch of time."""
        first, last = (self._phase + self._per_ns * at_ns for at_ns in (from_ns, to_ns))
        return self._amplitude * (math.cos(first) - math.cos(last)) / (last - first)


@dataclass(frozen=True, slots=True)
class Thermal:
    """Work heats the device towards `hot_c`, rest cools it towards `cool_c`; from `limit_c` down to `resume_c` it throttles.

    Workload and canary take `throttle` times as long then, at a clock as much lower.
    Estimand: the latency before it throttles.
    """

    cool_c: float = 35.0
    hot_c: float = 85.0
    limit_c: float = 75.0
    resume_c: float = 68.0
    time_constant_s: float = 20.0
    throttle: float = 1.4
    throttled_hot_c: float = 60.0  # where work at the lower clock leads

    def begin(self, rng: Generator, now_ns: float) -> Running:
        """Cool."""
        del rng
        return Heating(self, now_ns)


class Heating(Running):
    """A thermometer besides: `temperature_c`; and `throttles`."""

    STEP_NS = 20e6

    def __init__(self, model: Thermal, now_ns: float) -> None:
        super().__init__()
        self._model, self._at_ns = model, now_ns
        self.temperature_c = model.cool_c
        self.throttles = False
        self.until_ns = now_ns + self.STEP_NS

    def advance(self, now_ns: float, *, busy: bool) -> None:
        """See Running."""
        model = self._model
        hot_c = model.throttled_hot_c if self.throttles else model.hot_c
        target_c = hot_c if busy else model.cool_c
        share = math.exp(-(now_ns - self._at_ns) / (model.time_constant_s * NS))
        self.temperature_c = target_c + (self.temperature_c - target_c) * share
        self.throttles = self.temperature_c > (model.resume_c if self.throttles else model.limit_c)
        self.workload = self.canary = model.throttle if self.throttles else 1.0
        self._at_ns, self.until_ns = now_ns, now_ns + self.STEP_NS
