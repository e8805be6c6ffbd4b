"""Passes, warm-up, gate and slices: the sampling itself, without any I/O.

Clock and workloads are parameters, so a simulated device drives this very code in virtual time.
docs/measurement.md gives the reasons for the protocol; lutfarm_jobs.round.Slicing its constants.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Callable, Dict, Iterator, List, Optional, Sequence

from lutfarm_runner.commands import WireSlicing
from lutfarm_runner.machine.clock import clock_step_ns, stretch
from lutfarm_runner.workload_failure import Failed

MOST_ITERATIONS = 20_000  # of one slice: its line stays under 1 MiB
REFERENCE_NS = 100_000_000  # spent on a provisional reference
REFERENCE_QUANTILE = 0.10
BATCH_NS = 1_000_000_000  # slices are handed out after a pass, or after this
MOST_OF_WINDOW = 200  # iterations that a window of a sustained load keeps
FAR_LONGER = 10  # times the slicing's long_ns: a cold start no longer shows
FAR_LONGER_NS = 40_000_000  # and not before that: what refills the caches does not depend on the slicing
FRESH_CANARY_NS = 50_000  # a level this young serves the next slice too
LOST_SHARE = 0.01  # of a long iteration that may be spent without a core, beyond the least seen
CANARY_STEPS = 20  # of the clock, that a canary spans: 5 %, and the gate has 12
MOST_CANARIES = 64  # between two readings


@dataclass(frozen=True)
class Clock:
    """How the sampling code tells time; all in ns but `switches`, a count of involuntary switches.

    `run_delay_ns`: for how long threads that measure were ready and had no core; None where the system doesn't say.
    `step_ns`: the smallest by which `now_ns` moves; 0: not known, so the sampler measures it.
    """

    now_ns: Callable[[], int]
    cpu_ns: Callable[[], int]
    switches: Callable[[], int]
    run_delay_ns: Callable[[], Optional[int]] = lambda: None
    step_ns: int = 0


@dataclass
class Subject:
    """A loaded workload.  `iteration_ns` fixes how many iterations fill a slice, for the whole round."""

    id: int
    run: Callable[[], object]
    iteration_ns: int
    fresh: bool = True  # not run since it was loaded
    contended: int = 0  # slices kept without a quiet window
    rejected: int = 0  # passes in which no quiet window came
    discarded: int = 0  # slices timed and not kept
    timeless: int = 0  # slices in which the clock did not move over a sample
    profiled: Optional[Callable[[], object]] = None  # an iteration under the runtime's profiler
    seen: bool = False  # under the profiler, which runs after quiet visits only, or else once
    least_lost: float = 1.0  # share of a slice without a core: what its threads' waking takes


@dataclass(frozen=True)
class Sample:
    """One slice, as the `slice` event has it."""

    id: int
    pass_index: int
    samples_ns: List[int]
    canary_before_ns: int
    canary_after_ns: int
    quiet: bool
    gated: bool
    involuntary_switches: int
    waited_ns: int
    wall_ns: int
    cpu_ns: int
    run_delay_ns: Optional[int] = None
    block: int = 1  # iterations between two readings; a sample is their mean


@dataclass
class Spent:
    """Where wall time went, in ns."""

    warmup: int = 0
    canary: int = 0
    slices: int = 0
    wait: int = 0


def iterations(subject: Subject, slicing: WireSlicing) -> int:
    """How many iterations a slice of this subject has."""
    return min(max(1, slicing.slice_ns // subject.iteration_ns), MOST_ITERATIONS)


def block(subject: Subject, slicing: WireSlicing, step_ns: int) -> int:
    """How many iterations lie between two readings of the clock: 100 of its steps, and at most a slice."""
    return min(stretch(subject.iteration_ns, step_ns), iterations(subject, slicing))


def is_long(subject: Subject, slicing: WireSlicing) -> bool:
    """Swept, not gated: the machine changes its speed within one iteration of it."""
    return subject.iteration_ns > slicing.long_ns


def warmups(subject: Subject, slicing: WireSlicing) -> int:
    """Iterations to drop before the next slice.

    After another network ran, the first iteration of one of 1 / 6 / 11 ms took 1.15 / 1.024 / 1.007 of the
    next, and the second no more than the third: what is long gets one, and what is far longer none.
    """
    if is_long(subject, slicing):
        return int(subject.fresh or subject.iteration_ns <= max(FAR_LONGER * slicing.long_ns, FAR_LONGER_NS))
    return slicing.warmup_first if subject.fresh else slicing.warmup_again


def quantile(values: Sequence[int], share: float) -> int:
    """The value below which about `share` of them lie; never the smallest of many."""
    return sorted(values)[int(share * (len(values) - 1))]


@dataclass
class Sampler:
    """Samples subjects against a canary.  `reference_ns` is the canary's level on the uncontended device."""

    slicing: WireSlicing
    clock: Clock
    canary: Callable[[], object]
    reference_ns: int = 0
    announce: Callable[[Subject], None] = lambda _subject: None
    spent: Spent = field(default_factory=Spent)
    _level_ns: int = 0
    _level_at_ns: int = -FRESH_CANARY_NS - 1
    _canaries: int = 1  # between two readings
    step_ns: int = field(init=False)

    def __post_init__(self) -> None:
        self.step_ns = self.clock.step_ns or clock_step_ns(self.clock.now_ns)

    def level(self) -> int:
        """The canary's level now: the fastest of a few iterations, so its own warm-up drops out."""
        now, canary, count = self.clock.now_ns, self.canary, self._canaries
        began = now()
        fastest = 1 << 62
        for _ in range(self.slicing.canary_iterations):
            start = now()
            for _ in range(count):
                canary()
            fastest = min(fastest, now() - start)
        if fastest < CANARY_STEPS * self.step_ns:
            self._canaries = min(count * stretch(fastest, self.step_ns, CANARY_STEPS), MOST_CANARIES)
        self._level_ns, self._level_at_ns = max(1, fastest // count), now()
        self.spent.canary += self._level_at_ns - began
        return self._level_ns

    def warm_up(self) -> None:
        """Keep the device busy with the canary for slicing.warm_up_ns: sleeping would let its clock fall."""
        began = self.clock.now_ns()
        while self.clock.now_ns() - began < self.slicing.warm_up_ns:
            self.canary()
        self.spent.warmup += self.clock.now_ns() - began

    def establish(self) -> int:
        """Set a provisional reference: a low quantile of the levels over 100 ms, not the minimum."""
        end = self.clock.now_ns() + REFERENCE_NS
        levels = [self.level()]
        while self.clock.now_ns() < end:
            levels.append(self.level())
        self.reference_ns = quantile(levels, REFERENCE_QUANTILE)
        return self.reference_ns

    def calm(self, level_ns: int) -> bool:
        """Whether the machine has the speed that the reference was taken at."""
        return level_ns <= self.slicing.gate_ratio * self.reference_ns

    def _level_before(self) -> int:
        young = self.clock.now_ns() - self._level_at_ns <= FRESH_CANARY_NS
        return self._level_ns if young else self.level()

    def _wait(self, level_ns: int, end_ns: int) -> int:
        """Spin until the machine is calm or time is up: sleeping would let the clock fall."""
        began, canary_ns = self.clock.now_ns(), self.spent.canary
        while not self.calm(level_ns) and self.clock.now_ns() < end_ns:
            level_ns = self.level()
        self.spent.canary = canary_ns
        self.spent.wait += self.clock.now_ns() - began
        return level_ns

    def _warm(self, subject: Subject) -> None:
        began = self.clock.now_ns()
        for _ in range(warmups(subject, self.slicing)):
            subject.run()
        subject.fresh = False
        self.spent.warmup += self.clock.now_ns() - began

    def _slice(self, subject: Subject, pass_index: int, before_ns: int, waited_ns: int) -> Sample:
        clock, now, run = self.clock, self.clock.now_ns, subject.run
        long = is_long(subject, self.slicing)
        size = block(subject, self.slicing, self.step_ns)
        samples = [0] * (iterations(subject, self.slicing) // size)
        delay, switches, cpu, wall = clock.run_delay_ns(), clock.switches(), clock.cpu_ns(), now()
        if size == 1:
            for index in range(len(samples)):
                start = now()
                run()
                samples[index] = now() - start
        else:
            for index in range(len(samples)):
                samples[index] = _mean_ns(now, run, size)
        wall = now() - wall
        cpu = clock.cpu_ns() - cpu
        switches = clock.switches() - switches
        delayed = clock.run_delay_ns()
        delayed = None if delayed is None or delay is None else max(0, delayed - delay)
        self.spent.slices += wall
        after_ns = self.level()
        inside = _held(subject, wall, cpu, delayed) if long else switches == 0
        quiet = inside and self.calm(before_ns) and self.calm(after_ns)
        return Sample(
            subject.id, pass_index, samples, before_ns, after_ns, quiet, not long, switches, waited_ns, wall, cpu, delayed, size
        )

    def _sweep(self, subject: Subject, pass_index: int) -> List[Sample]:
        """Iterations too long for the gate: each between two canaries, with nothing else between.

        Another one while that was not quiet, up to the slicing's `long_tries`; all of them are kept.  `wait_ns` serves them all.
        """
        kept: List[Sample] = []
        self._warm(subject)
        before_ns, waiting_ns, tries = self.level(), self.slicing.wait_ns, 0
        while True:
            wait_ns = self.spent.wait
            before_ns = self._wait(before_ns, self.clock.now_ns() + waiting_ns)
            waited_ns = self.spent.wait - wait_ns
            waiting_ns -= waited_ns
            sample = self._slice(subject, pass_index, before_ns, waited_ns)
            tries += 1
            if self.timed(subject, sample.samples_ns):
                kept.append(sample)
                if sample.quiet:
                    return kept
            if tries >= self.slicing.long_tries:
                subject.rejected += 1
                return kept
            before_ns = sample.canary_after_ns

    def timed(self, subject: Subject, samples_ns: Sequence[int]) -> bool:
        """Whether the clock moved over every sample: one of 0 ns is none.  Raises Failed where that happens again and again."""
        if samples_ns and min(samples_ns) > 0:
            return True
        subject.timeless += 1
        subject.discarded += 1
        if subject.timeless > self.slicing.passes:
            raise Failed(
                "WorkloadFailed",
                (
                    f"the device's clock moves in steps of {self.step_ns} ns, too coarse for what takes about "
                    f"{subject.iteration_ns} ns: choose a finer clocksource, or give its profile a larger sampling.slice_ns"
                ),
            )
        return False

    def visit(self, subject: Subject, pass_index: int) -> List[Sample]:
        """At most one slice of a subject: a quiet one, or else a contended one while those are kept.  See also _sweep."""
        self.announce(subject)
        if is_long(subject, self.slicing):
            return self._sweep(subject, pass_index)
        before_ns = self._level_before()
        began, waited_ns, wait_ns = self.clock.now_ns(), 0, self.spent.wait
        end_ns = began + self.slicing.wait_ns
        sample: Optional[Sample] = None
        while True:
            before_ns = self._wait(before_ns, end_ns)
            waited_ns = self.spent.wait - wait_ns
            if not self.calm(before_ns) and (sample or subject.contended >= self.slicing.contended_keep):
                break
            subject.discarded += sample is not None
            self._warm(subject)
            sliced = self._slice(subject, pass_index, before_ns, waited_ns)
            sample = sliced if self.timed(subject, sliced.samples_ns) else None
            if sample is not None and sample.quiet:
                return [sample]
            if self.clock.now_ns() >= end_ns:
                break
            before_ns = sliced.canary_after_ns
        subject.rejected += 1
        if sample is None or subject.contended >= self.slicing.contended_keep:
            subject.discarded += sample is not None
            return []
        subject.contended += 1
        return [sample]


def _held(subject: Subject, wall_ns: int, cpu_ns: int, run_delay_ns: Optional[int]) -> bool:
    """Whether it held its core all the time, but for what its own threads lose at the best of times."""
    lost_ns = wall_ns - cpu_ns if run_delay_ns is None else run_delay_ns
    lost = max(0.0, lost_ns / max(1, wall_ns))
    subject.least_lost = min(subject.least_lost, lost)
    return lost <= subject.least_lost + LOST_SHARE


def _mean_ns(now: Callable[[], int], run: Callable[[], object], size: int) -> int:
    """The mean of so many iterations, timed together and rounded."""
    start = now()
    for _ in range(size):
        run()
    return (now() - start + size // 2) // size


def _single_ns(now: Callable[[], int], run: Callable[[], object], _size: int) -> int:
    start = now()
    run()
    return now() - start


def sweep(sampler: Sampler, subjects: Sequence[Subject], order: random.Random) -> Iterator[List[Sample]]:
    """Each pass goes through all subjects in a new random order; slices come in batches of at most a pass."""
    now = sampler.clock.now_ns
    for pass_index in range(sampler.slicing.passes):
        turn = list(subjects)
        order.shuffle(turn)
        batch: List[Sample] = []
        yielded_ns = now()
        for subject in turn:
            found = sampler.visit(subject, pass_index)
            batch += found
            last = pass_index == sampler.slicing.passes - 1
            if subject.profiled is not None and ((found and found[-1].quiet) or (last and not subject.seen)):
                subject.seen = True
                for _ in range(sampler.slicing.profile):
                    subject.profiled()
            if batch and now() - yielded_ns > BATCH_NS:
                yield batch
                batch, yielded_ns = [], now()
        yield batch


def sustain(sampler: Sampler, subjects: Sequence[Subject]) -> Iterator[List[Sample]]:
    """Loads each subject without a pause for slicing.sustained_ns; one slice for each of slicing.passes windows.

    A slice keeps MOST_OF_WINDOW iterations, evenly spread over its window: the time series of minutes stays small.
    There is no warm-up and no gate: how the device slows under load is what is measured.
    """
    clock, now, slicing = sampler.clock, sampler.clock.now_ns, sampler.slicing
    window_ns = slicing.sustained_ns // slicing.passes
    for subject in subjects:
        size = min(stretch(subject.iteration_ns, sampler.step_ns), max(1, window_ns // subject.iteration_ns))
        stride = max(1, window_ns // (subject.iteration_ns * size) // MOST_OF_WINDOW)
        timed = _single_ns if size == 1 else _mean_ns
        for pass_index in range(slicing.passes):
            sampler.announce(subject)
            before_ns = sampler.level()
            samples: List[int] = []
            done = 0
            switches, cpu, wall = clock.switches(), clock.cpu_ns(), now()
            while done == 0 or (now() - wall < window_ns and len(samples) < MOST_ITERATIONS):
                sample_ns = timed(now, subject.run, size)
                if done % stride == 0:
                    samples.append(sample_ns)
                done += 1
            ended = now()
            sampler.spent.slices += ended - wall
            cpu, switches = clock.cpu_ns() - cpu, clock.switches() - switches
            after_ns = sampler.level()
            yield (
                [
                    Sample(
                        subject.id,
                        pass_index,
                        samples,
                        before_ns,
                        after_ns,
                        quiet=True,
                        gated=False,
                        involuntary_switches=switches,
                        waited_ns=0,
                        wall_ns=ended - wall,
                        cpu_ns=cpu,
                        block=size,
                    )
                ]
                if sampler.timed(subject, samples)
                else []
            )


def rejected(subjects: Sequence[Subject]) -> Dict[int, int]:
    """By subject: passes in which no quiet window came."""
    return {subject.id: subject.rejected for subject in subjects if subject.rejected}


def discarded(subjects: Sequence[Subject]) -> Dict[int, int]:
    """By subject: slices that were timed, were not quiet, and were not kept."""
    return {subject.id: subject.discarded for subject in subjects if subject.discarded}
