"""A machine in virtual time: its clock, its processes, and rounds of the runner's own sampling code on it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat

import numpy as np

from lutfarm_agents.testing.noise import Noise
from lutfarm_agents.testing.states import Drifting, Heating
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.run import Environment
from lutfarm_runner.child.sampling import Clock, Sample, Sampler, Subject, sustain, sweep
from lutfarm_runner.commands import WireSlicing

FIRST_NS = 1e9  # virtual time begins here
IMPORT_NS = 80_000_000  # what a fresh process spends before it loads anything
FORK_NS = 10_000_000  # the same, of a child of one that has imported the runtime
LOAD_NS = 3_000_000
FULL_KHZ = 2_000_000
CORES = 2
ROUGH = 20  # steps of the clock that tell how long an iteration takes


@dataclass(frozen=True, slots=True)
class SimulatedDevice:
    """How a simulated device behaves.  Times in ns.

    latencies_ns: true latencies by the SHA-256 of a model file; any other one's is drawn from `least_ns` to `most_ns`,
    evenly in log, by its SHA-256.  `slower`: a device so many times slower, canary included.  `reading_ns`: what a look
    at the clock costs, which every sample holds once.  `clock_step_ns`: the clock moves by multiples of it.  `virtual`: it says
    that it is a guest of a hypervisor.
    """

    noise: Noise = Noise()
    seed: int = 0
    canary_ns: float = 70_000.0
    latencies_ns: dict[str, float] = field(default_factory=dict[str, float])
    least_ns: float = 20_000.0
    most_ns: float = 2_000_000.0
    slower: float = 1.0
    reading_ns: float = 30.0
    virtual: bool = False
    clock_step_ns: int = 1

    def true_ns(self, sha256: str) -> float:
        """What a model file takes here without any noise.  Raises SpecError for what is no SHA-256."""
        if sha256 in self.latencies_ns:
            return self.latencies_ns[sha256] * self.slower
        try:
            place = int(sha256[:12], 16) / 16**12
        except ValueError as error:
            raise SpecError(f"{sha256[:80]!r} is no SHA-256 of a model file; name it in latencies_ns") from error
        return self.least_ns * (self.most_ns / self.least_ns) ** place * self.slower

    def estimand_ns(self, true_ns: float, *, share: float = 0.25) -> float:
        """What the estimate of a workload should be that takes `true_ns` without noise; see Noise.factor."""
        return true_ns * self.noise.factor(share) + self.reading_ns


class Machine:
    """One device's virtual time.  Everything on it is fixed by its device's seed and by what is asked of it, in order."""

    def __init__(self, device: SimulatedDevice) -> None:
        self.device = device
        self.now_ns: float = FIRST_NS
        self.until_ns: float = math.inf  # the factors below hold until then
        self.workload_factor = self.canary_factor = 1.0
        self.processes = 0
        self._quiet_ns: float = 0.0
        self._others_ns: float = 0.0
        self._turned_ns: float = FIRST_NS
        self._stolen_ns: float = 0.0
        self._last: object = None  # which workload ran last: another one finds its caches cold
        rng = np.random.default_rng([device.seed, 0])
        self._states = [state.begin(rng, self.now_ns) for state in device.noise.states]
        self._jumps_rng = np.random.default_rng([device.seed, 1])
        self._jumped_ns = 0
        self._jump_at_ns = self._next_jump()
        self._busy = True  # but for rests
        self._turn()

    def drift(self, from_ns: float, to_ns: float) -> float:
        """The mean factor of drift over a stretch of virtual time; 1 without any."""
        return math.exp(sum(s.mean_log(from_ns, to_ns) for s in self._states if isinstance(s, Drifting)))

    @property
    def temperature_c(self) -> float | None:
        """Of the hottest part; None where there is no thermometer."""
        return max((s.temperature_c for s in self._states if isinstance(s, Heating)), default=None)

    @property
    def frequency_khz(self) -> int:
        """The clock, lower while it throttles."""
        slowed = math.prod(s.workload for s in self._states if isinstance(s, Heating))
        return round(FULL_KHZ / slowed)

    def mark(self) -> tuple[float, float]:
        """(Virtual time, time so far in which nothing slowed it but drift) in ns."""
        return self.now_ns, self._quiet_ns + (self.now_ns - self._turned_ns if self._quiet else 0.0)

    @property
    def others_ns(self) -> float:
        """CPU time that others have used so far, as the system shows it."""
        return self._others_ns + self._others * (self.now_ns - self._turned_ns)

    def environment(self, epoch_s: float = 0.0) -> Environment:
        """What the system says of itself now; virtual time began at `epoch_s`."""
        own_ns = self.now_ns - self._stolen_ns
        return Environment(
            epoch_s + self.now_ns / 1e9,
            frequency_khz=self.frequency_khz,
            temperature_c=self.temperature_c,
            busy_s=(own_ns + self.others_ns) / 1e9,
            own_s=own_ns / 1e9,
            cores=CORES,
            virtual=self.device.virtual,
        )

    def quiet_share(self, since: tuple[float, float]) -> float:
        """The share of the time since a mark in which nothing slowed it but drift: quiet windows exist where it is not 0."""
        now_ns, quiet_ns = self.mark()
        return (quiet_ns - since[1]) / max(1.0, now_ns - since[0])

    def rest(self, duration_ns: float) -> None:
        """Let time pass with nothing to do."""
        self._busy = False
        self._pass(duration_ns)

    def spend(self, duration_ns: float) -> None:
        """Let time pass with work that is not measured, such as loading a model."""
        self._busy = True
        self._pass(duration_ns)

    def clock(self) -> Clock:
        """As the sampling code wants it."""
        return Clock(
            self._look,
            lambda: int(self.now_ns - self._stolen_ns),
            self._switches,
            lambda: int(self._stolen_ns),
            self.device.clock_step_ns,
        )

    def process(self, start_ns: float = IMPORT_NS) -> SimulatedProcess:
        """A fresh process, which spends `start_ns` before it loads anything."""
        self.spend(start_ns)
        self.processes += 1
        return SimulatedProcess(self, self.processes - 1)

    def work(self, work_ns: float, *, canary: bool) -> None:
        """Do what takes `work_ns` on the undisturbed machine, through whatever states come meanwhile."""
        while True:
            factor = self.canary_factor if canary else self.workload_factor
            end_ns = self.now_ns + work_ns * factor
            if end_ns < self.until_ns:
                self.now_ns = end_ns
                return
            work_ns -= (self.until_ns - self.now_ns) / factor
            self.now_ns = self.until_ns
            self._turn()

    def ran(self, one: object) -> bool:
        """Whether `one` ran last; from now on it did."""
        same, self._last = self._last is one, one
        return same

    def _pass(self, duration_ns: float) -> None:
        self.now_ns += duration_ns
        self._last = None
        if self.now_ns >= self.until_ns:
            self._turn()
        self._busy = True

    def _turn(self) -> None:
        """Bring every state up to now, and note what holds from here."""
        now_ns = self.now_ns
        if self._quiet:
            self._quiet_ns += now_ns - self._turned_ns
        self._others_ns += self._others * (now_ns - self._turned_ns)
        self._turned_ns = now_ns
        for state in self._states:
            if state.until_ns <= now_ns:
                before = state.switches
                state.advance(now_ns, busy=self._busy)
                stolen_ns = (state.switches - before) * state.stolen_ns
                self._stolen_ns += stolen_ns
                self.now_ns += stolen_ns
        if any(state.until_ns <= self.now_ns for state in self._states):
            self._turn()
            return
        self.workload_factor = math.prod(state.workload for state in self._states)
        self.canary_factor = math.prod(state.canary for state in self._states)
        self.until_ns = min((state.until_ns for state in self._states), default=math.inf)

    @property
    def _quiet(self) -> bool:
        return all(state.workload == 1.0 for state in self._states if not isinstance(state, Drifting))

    @property
    def _others(self) -> float:
        return sum(state.others for state in self._states)

    def _switches(self) -> int:
        return sum(state.switches for state in self._states)

    def _look(self) -> int:
        self.now_ns += self.device.reading_ns
        jumps = self.device.noise.jumps
        if jumps is not None and self.now_ns >= self._jump_at_ns:
            self._jumped_ns += jumps.jump_ns
            self._jump_at_ns = self._next_jump()
        step_ns = self.device.clock_step_ns
        return int(self.now_ns) // step_ns * step_ns + self._jumped_ns

    def _next_jump(self) -> float:
        jumps = self.device.noise.jumps
        return math.inf if jumps is None else self.now_ns + float(self._jumps_rng.exponential(jumps.every_s)) * 1e9


class SimulatedProcess:
    """One process on the machine: what it loads keeps its offsets until it ends."""

    def __init__(self, machine: Machine, number: int) -> None:
        self._machine = machine
        self._rng = np.random.default_rng([machine.device.seed, 2, number])
        self._number = number
        self._shared = float(self._rng.normal(0.0, 1.0)) * machine.device.noise.offsets.shared

    def canary(self) -> Callable[[], None]:
        """The fixed reference operator, loaded."""
        device = self._machine.device
        change = device.noise.canary
        factor = change.factor if change and self._number >= change.from_process else 1.0
        return self._loaded(device.canary_ns * device.slower * factor, canary=True)

    def workload(self, true_ns: float) -> Callable[[], None]:
        """One that takes `true_ns` on the device without noise, loaded."""
        return self._loaded(true_ns, canary=False)

    def _loaded(self, true_ns: float, *, canary: bool) -> Callable[[], None]:
        machine, noise = self._machine, self._machine.device.noise
        own = float(self._rng.normal(0.0, 1.0)) * self._own_spread(true_ns)
        cost_ns = true_ns * math.exp(self._shared + own)
        # A stream of its own: how often one workload runs does not change what another one meets.
        rng = np.random.default_rng(self._rng.integers(1 << 62))
        draw = (chain.from_iterable(noise.series(rng, cost_ns)) if noise.iterations else repeat(cost_ns)).__next__
        fresh, again = noise.warm_up.fresh, noise.warm_up.again
        excess_ns = min(cost_ns, noise.warm_up.most_ns)
        warm = max(len(fresh), len(again))
        runs, in_a_row, me = 0, 0, object()

        def run() -> None:
            nonlocal runs, in_a_row
            work_ns = draw()
            if not machine.ran(me):
                in_a_row = 0
            if in_a_row < warm or runs < warm:
                if runs < len(fresh):
                    work_ns += (fresh[runs] - 1) * excess_ns
                elif in_a_row < len(again):
                    work_ns += (again[in_a_row] - 1) * excess_ns
                runs += 1
                in_a_row += 1
            end_ns = machine.now_ns + work_ns * (machine.canary_factor if canary else machine.workload_factor)
            if end_ns < machine.until_ns:
                machine.now_ns = end_ns
            else:
                machine.work(work_ns, canary=canary)

        return run

    def _own_spread(self, true_ns: float) -> float:
        offsets, seed = self._machine.device.noise.offsets, self._machine.device.seed
        if not offsets.varies:
            return offsets.own
        rng = np.random.default_rng([seed, 3, int(1000 * true_ns)])
        return offsets.own * math.exp(float(rng.normal(0.0, offsets.varies)))


@dataclass(slots=True)
class VirtualRound:
    """One fresh process under the runner's sampler; `batches` are what the runner would send."""

    sampler: Sampler
    subjects: list[Subject]
    provisional: bool
    loaded: list[tuple[int, int]]  # (load, first inference) in ns, of each subject
    seed: int

    def batches(self) -> Iterator[list[Sample]]:
        """Sweeps, or sustains where the slicing says so."""
        if self.sampler.slicing.sustained_ns:
            return sustain(self.sampler, self.subjects)
        return sweep(self.sampler, self.subjects, random.Random(self.seed))  # noqa: S311  an order, no secret


def begin_round(
    machine: Machine,
    true_ns: Sequence[float],
    slicing: WireSlicing,
    *,
    seed: int,
    reference_ns: int | None = None,
    iteration_ns: Sequence[int | None] = (),
) -> VirtualRound:
    """A fresh process that has loaded the canary and a workload for each of `true_ns`, as the runner does it.

    `iteration_ns`: what a probe said of each; where it is unknown a few warm iterations tell.
    """
    process, clock = machine.process(), machine.clock()
    sampler = Sampler(slicing, clock, process.canary(), reference_ns or 0)
    sampler.warm_up()
    for _ in range(slicing.warmup_first):
        sampler.level()
    if reference_ns is None:
        sampler.establish()
    subjects: list[Subject] = []
    loaded: list[tuple[int, int]] = []
    for position, cost_ns in enumerate(true_ns):
        machine.spend(LOAD_NS)
        run = process.workload(cost_ns)
        first_ns = _timed(clock, run)
        sampler.spent.warmup += first_ns
        known_ns = iteration_ns[position] if iteration_ns else None
        subjects.append(Subject(position, run, known_ns or warm_iteration_ns(clock, run)))
        loaded.append((LOAD_NS, max(0, first_ns)))
    return VirtualRound(sampler, subjects, reference_ns is None, loaded, seed)


def warm_iteration_ns(clock: Clock, run: Callable[[], object]) -> int:
    """The median of a few warm iterations; where one is short of ROUGH steps of the clock, the mean of as many as are not."""
    middle_ns = sorted(_timed(clock, run) for _ in range(7))[3]
    if middle_ns >= ROUGH * clock.step_ns:
        return middle_ns
    start_ns = clock.now_ns()
    count = 0
    while clock.now_ns() - start_ns < ROUGH * clock.step_ns:
        run()
        count += 1
    return max(1, (clock.now_ns() - start_ns) // count)


def _timed(clock: Clock, run: Callable[[], object]) -> int:
    start_ns = clock.now_ns()
    run()
    return clock.now_ns() - start_ns
