"""How long a job takes on the wall, as a range: by what is known of its devices, else by the constants below.  Pure.

The constants were measured on two shared cores (docs/benchmarks.md, benchmarks/plan.py shows what is said against what is
taken).  How long another holder keeps a device, and rests of devices that get too hot, are not foreseen.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields

from lutfarm.scheduling.job_progress import JobProgress
from lutfarm.scheduling.next_step import LONGEST_ROUND_S, PROBES_PER_ORDER
from lutfarm.scheduling.policy import MeasuringPolicy
from lutfarm.scheduling.round_cost import ROUND_S, iteration_of, seconds_of
from lutfarm.scheduling.unit import Unit
from lutfarm.statistics.estimates.precision import LEAST_ROUNDS, LEAST_ROUNDS_ALONE
from lutfarm.statistics.intervals.interval import LEAST_FOR_PRIOR
from lutfarm_jobs.measurement import Measurement

PROBE_ITERATIONS = 12  # cold, warm, compared
OFTEN_MORE_ROUNDS = 1.8  # times the least number: where the machine is noisier than is usual


@dataclass(frozen=True, slots=True)
class Span:
    """From `low_s` to `high_s`."""

    low_s: float = 0.0
    high_s: float = 0.0

    @property
    def middle_s(self) -> float:
        """Halfway."""
        return (self.low_s + self.high_s) / 2

    def __add__(self, other: Span) -> Span:
        return Span(self.low_s + other.low_s, self.high_s + other.high_s)

    def times(self, count: float) -> Span:
        """So many of it."""
        return Span(self.low_s * count, self.high_s * count)

    def at_most(self, most_s: float) -> Span:
        """No more than a budget allows."""
        return Span(min(self.low_s, most_s), min(self.high_s, most_s))


RAY = Span(3.5, 7.5)  # to import and start it, and to end it
PLAIN_POOL = Span(0.1, 0.5)
PROGRAM = Span(1.2, 3.0)  # Python, its imports, the store; at the end the table, for the verdict
OPENING: Mapping[str, Span] = {"local": Span(0.4, 1.6)}
OPENING_FAR = Span(1.0, 6.0)
BUILD: Mapping[str, Span] = {  # a model and the output that it should have, built for the first time
    "operator": Span(0.05, 0.15),
    "sandwich": Span(0.06, 0.2),
    "stubs": Span(0.02, 0.08),
    "network": Span(0.8, 1.7),
    "file": Span(0.02, 0.5),
}
BUILT = Span(0.001, 0.01)  # found in the cache, and checked
PROBE = Span(0.015, 0.04)  # a throwaway child, beside its iterations
PROBE_ORDER = Span(0.3, 0.8)  # the process that they are forked of
PACE = Span(0.75, 1.3)  # of rounds on a quiet machine of which nothing is known
LOADED_PACE = Span(1.2, 3.5)  # where other programs compute beside them: they wait for quiet windows
NOT_PROBED: Mapping[str, Span] = {"local": Span(0.1, 0.22)}  # what a first guess at an iteration is off by, as factors
NOT_PROBED_FAR = Span(0.3, 2.0)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one device beforehand: its rounds' pace, and how long a probe takes; None where nothing is.

    `scale`: by backend key, how many times longer an iteration takes than a first guess from its multiply-accumulates.
    """

    pace: Span | None = None
    probe: Span | None = None
    scale: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class Parts:
    """Where the time goes; `waiting` are a device's rests between rounds."""

    opening: Span = Span()
    building: Span = Span()
    probing: Span = Span()
    rounds: Span = Span()
    waiting: Span = Span()

    @property
    def whole(self) -> Span:
        """All of it."""
        return sum(self, Span())

    def __iter__(self) -> Iterator[Span]:
        return (getattr(self, one.name) for one in fields(self))

    def __add__(self, other: Parts) -> Parts:
        return Parts(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


def work_left(
    job: JobProgress,
    units: Mapping[str, Unit],
    known: Mapping[str, Known] | None = None,
    *,
    format_of: Callable[[str], str],
    transports: Mapping[str, str] | None = None,
) -> Parts:
    """What is left of a job from now on, with its farm running: of the machine that needs longest, as they work side by side.

    `format_of`: what a runtime reads; one model serves all that read the same.  `transports`: by unit, where they are known.
    Building is the host's, for all units.
    """
    by_machine: defaultdict[str, Parts] = defaultdict(Parts)
    for name in job.policies:
        unit, wanted = units[name], job.wanted(name)
        if not unit.out and job.planned(name):
            told = (known or {}).get(name, Known())
            transport = (transports or {}).get(name, "local")
            by_machine[unit.machine] += _of_unit(job, unit, wanted, told, transport)
    longest = max(by_machine.values(), key=lambda parts: parts.whole.middle_s, default=Parts())
    return longest + Parts(building=_building(job, format_of))


def _of_unit(job: JobProgress, unit: Unit, wanted: Sequence[Measurement], known: Known, transport: str) -> Parts:
    opening = Span() if unit.opened else OPENING.get(transport, OPENING_FAR)  # nobody knows before that nothing is wanted
    if not wanted:
        return Parts(opening=opening)
    policy = job.policies[unit.name]
    fresh = [m for m in wanted if job.progress(m.key).probe is None]
    probe_orders = math.ceil(len(fresh) / PROBES_PER_ORDER)
    probing = PROBE_ORDER.times(probe_orders)
    for m in fresh:
        guess = _guess(job, m, known, transport)
        probing += known.probe or PROBE + guess.times(PROBE_ITERATIONS * iteration_of(job, m) / 1e9)
    rounds, orders = _rounds(job, wanted, policy, known, transport)
    pace = Span(0.9 * unit.pace, 1.1 * unit.pace) if unit.rounds_due_s else known.pace or PACE
    rounds = Span(rounds.low_s * pace.low_s, rounds.high_s * pace.high_s)
    if job.budget_s is not None:
        rounds = rounds.at_most(max(0.0, job.budget_s - job.spent_s.get(unit.name, 0.0)))
    return Parts(
        opening=opening,
        probing=probing,
        rounds=rounds,
        waiting=Span(unit.care.cooldown_s * (orders.low_s + probe_orders), unit.care.cooldown_s * (orders.high_s + probe_orders)),
    )


def _rounds(
    job: JobProgress, wanted: Sequence[Measurement], policy: MeasuringPolicy, known: Known, transport: str
) -> tuple[Span, Span]:
    """What the rounds of a unit should take on a quiet machine, and how many rounds that are."""
    due, orders = Span(), Span()
    groups: defaultdict[str, list[Measurement]] = defaultdict(list)
    for m in wanted:
        groups[m.backend.key].append(m)
    planned = Counter(m.backend.key for m in job.planned(wanted[0].device))
    for backend, group in groups.items():
        alone = planned[backend] <= LEAST_FOR_PRIOR
        once_s, low, high = 0.0, 0, 0
        for m in group:
            least, most = rounds_of(job, m.key, alone=alone)
            each = _round(job, m, policy, _guess(job, m, known, transport))
            due += Span(least * each.low_s, most * each.high_s)
            once_s, low, high = once_s + each.middle_s, max(low, least), max(high, most)
        chunks = max(1, math.ceil(once_s / LONGEST_ROUND_S))
        orders += Span(low * chunks, high * chunks)
    return due + orders.times(ROUND_S), orders


def _round(job: JobProgress, m: Measurement, policy: MeasuringPolicy, guess: Span) -> Span:
    """What one round of a measurement should take; `guess`: what its iteration may be off by."""
    probe, iteration_ns = job.progress(m.key).probe, iteration_of(job, m)
    load_ns = probe.load_ns if probe else None
    low_s, high_s = (seconds_of(iteration_ns * factor, policy.slicing, load_ns=load_ns) for factor in (guess.low_s, guess.high_s))
    return Span(low_s, high_s)


def rounds_of(job: JobProgress, key: str, *, alone: bool) -> tuple[int, int]:
    """How many more rounds a measurement needs, at least and at most; `alone`: too few others say what the spread is."""
    complete = job.progress(key).complete
    if job.rule is None or key in job.reached:
        left = job.rounds_left(key)
        return left, left if job.rule is None else min(job.rounds - complete, math.ceil(OFTEN_MORE_ROUNDS * left))
    least = min(job.rounds, max(job.rule.least_rounds, LEAST_ROUNDS_ALONE if alone else LEAST_ROUNDS))
    return max(0, least - complete), max(0, min(job.rounds, math.ceil(OFTEN_MORE_ROUNDS * least)) - complete)


def _guess(job: JobProgress, m: Measurement, known: Known, transport: str) -> Span:
    """What its iteration may be off by, as a factor."""
    if job.progress(m.key).probe is not None:
        return Span(1.0, 1.0)
    scale = known.scale.get(m.backend.key)
    return NOT_PROBED.get(transport, NOT_PROBED_FAR) if scale is None else Span(0.8 * scale, 1.25 * scale)


def _building(job: JobProgress, format_of: Callable[[str], str]) -> Span:
    """On the host, one after the other; what some unit has probed is in the cache, and so is what another backend shares."""
    models = {key: (m.workload.key, format_of(m.backend.runtime)) for key, m in job.plan.items()}
    built = {models[key] for key in job.plan if job.progress(key).probe is not None}
    wanted = {models[key]: m for key, m in job.plan.items() if job.wants(key)}
    return sum((BUILT if model in built else BUILD[m.workload.kind] for model, m in wanted.items()), Span())
