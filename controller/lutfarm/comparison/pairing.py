"""Pairs of rounds, one of each side, close in time: who is next, and when it is enough."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lutfarm.agent_pool.interface import Event, Measured, Opened
from lutfarm.scheduling.job_progress import JobProgress
from lutfarm.scheduling.next_step import chunk_of, next_step
from lutfarm.scheduling.state import over, units_of
from lutfarm.scheduling.steps import MeasureThese, Step, Wait
from lutfarm.scheduling.strategy import JobNews
from lutfarm.scheduling.unit import Unit
from lutfarm.statistics.comparisons.pairs import PairedRound, a_first, matched, paired_round, precise, waiting
from lutfarm.statistics.estimates.precision import StopRule
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.measurement import Measurement

TRIES = 3  # times the rounds: rounds of one key, whole pairs or not
Key = str  # Measurement.key


@dataclass(frozen=True, slots=True)
class PairStrategy:
    """A job that compares.  `keys`: of A and B for each workload; `seed` fixes the order; `rule`: None for all rounds."""

    keys: Sequence[tuple[Key, Key]]
    seed: str
    rule: StopRule | None
    one_machine: bool = False  # both said hello in this sitting, and it is one machine as far as they know
    ending: bool = False  # enough, by verdicts of the time at which each round ran: all are judged once more
    known_rounds: Mapping[Key, Mapping[str, PairedRound]] = field(
        default_factory=dict[Key, Mapping[str, PairedRound]]
    )  # ... and by run

    @property
    def together(self) -> bool:
        """Yes: a round of one side without one of the other is no pair."""
        return True

    def wants_rounds(self, job: JobProgress, units: Mapping[str, Unit], events: Sequence[Event]) -> Collection[str]:
        """Of units that have just opened; at the end of all."""
        if self.ending:
            return [name for name in job.policies if units[name].hello]
        return [event.unit for event in events if isinstance(event, Opened) and event.unit in job.policies]

    def after(self, job: JobProgress, units: Mapping[str, Unit], news: JobNews, now_s: float) -> tuple[PairStrategy, JobProgress]:
        """Complete is a whole pair, or the first half of one whose other half can still come close in time."""
        known = replace(self, known_rounds=_with_news(self.known_rounds, news))
        mine = units_of(job, units)
        if any(unit.in_flight and job.id in unit.jobs for unit in mine.values()):
            return known, job
        if not known.one_machine and all(unit.opened for unit in mine.values()):
            if two := _two_machines(mine):
                return known, replace(job, stopped=(SpecError.__name__, two))
            known = replace(known, one_machine=True)
        rounds_of = {key: list(mine.values()) for key, mine in known.known_rounds.items()}
        paired = paired_job(job, mine, self.keys, rounds_of, now_s=now_s, rule=self.rule)
        if self.ending or paired.rounds in (0, job.rounds):
            return replace(known, ending=False), paired
        return replace(known, ending=True), replace(paired, rounds=job.rounds)

    def urgent(self, job: JobProgress, units: Mapping[str, Unit]) -> bool:
        """Where one side of a pair is measured, and the other is not."""
        del units
        return any(job.progress(a).complete != job.progress(b).complete for a, b in self.keys if a in job.plan)

    def next(self, job: JobProgress, units: Mapping[str, Unit], idle: Sequence[str], now_s: float) -> Step | Wait | None:
        """One step at a time: open and probe both sides, then a round of each in turn."""
        mine = units_of(job, units)
        if self.ending or over(job, units) or any(unit.out or not unit.leased for unit in mine.values()):
            return None
        if any(unit.in_flight or now_s < unit.not_before_s for unit in mine.values()):
            return Wait(job.id)  # else the one that is free is taken while the other rests, for ever
        step = self._preparing(job, mine, now_s)
        if step is None and all(unit.opened for unit in mine.values()):
            step = next_round(job, mine, self.keys, self.seed)
        return step if step and step.unit in idle else None

    def _preparing(self, job: JobProgress, mine: Mapping[str, Unit], now_s: float) -> Step | None:
        for unit in sorted(mine.values(), key=lambda unit: (unit.spent_s, unit.name)):
            step = next_step(job, unit, now_s)
            if step is not None and not isinstance(step, MeasureThese):
                return step
        return None


def _with_news(rounds: Mapping[Key, Mapping[str, PairedRound]], news: JobNews) -> Mapping[Key, Mapping[str, PairedRound]]:
    """What is stored and judged anew replaces what was known of the same run."""
    known = dict(rounds)
    arrived = [event.run for event in news.events if isinstance(event, Measured) and event.run.status == "complete"]
    for key, newer in [*news.paired_rounds.items(), *((run.key, {run.id: paired_round(run)}) for run in arrived)]:
        known[key] = {**known.get(key, {}), **newer}
    return known


def next_round(job: JobProgress, units: Mapping[str, Unit], keys: Sequence[tuple[Key, Key]], seed: str) -> MeasureThese | None:
    """The other half of a pair that has begun, else the first half of the next.  Pure."""
    wanted = [(a, b) for a, b in keys if a in job.plan and (job.wants(a) or job.wants(b))]
    if not wanted:
        return None
    for side in (0, 1):
        behind = [pair for pair in wanted if job.progress(pair[side]).complete < job.progress(pair[1 - side]).complete]
        if behind:
            return _round(job, units, [pair[side] for pair in behind])
    partner = dict(wanted)
    plans = [job.plan[a] for a, _ in wanted]
    mine = [m.key for m in _fitting(job, units, plans)]
    theirs = [job.plan[partner[key]] for key in mine]
    fitting = {m.key for m in _fitting(job, units, theirs)}
    chosen = [(key, partner[key]) for key in mine if partner[key] in fitting]
    side = 0 if a_first(seed, job.progress(chosen[0][0]).complete) else 1
    return _round(job, units, [pair[side] for pair in chosen])


def _fitting(job: JobProgress, units: Mapping[str, Unit], plans: Sequence[Measurement]) -> Iterator[Measurement]:
    unit = plans[0].device
    return chunk_of(job, plans, job.policies[unit], units[unit].pace, left_of_budget_s=math.inf)


def _round(job: JobProgress, units: Mapping[str, Unit], keys: Sequence[Key]) -> MeasureThese:
    plans = [job.plan[key] for key in keys]
    chunk = tuple(m.key for m in _fitting(job, units, plans))
    return MeasureThese(job.id, plans[0].device, chunk, job.progress(chunk[0]).complete)


def paired_job(
    job: JobProgress,
    units: Mapping[str, Unit],
    keys: Sequence[tuple[Key, Key]],
    rounds_of: Mapping[Key, Sequence[PairedRound]],
    *,
    now_s: float,
    rule: StopRule | None,
) -> JobProgress:
    """The job in which what counts is pairs; over where they are precise enough, or a side is out of work.  Pure."""
    progress_of = dict(job.progress_of)
    ratios: dict[Key, dict[str, float]] = {}
    begun = False
    for a, b in keys:
        sides = rounds_of.get(a, ()), rounds_of.get(b, ())
        pairs, lone = matched(*sides), waiting(*sides, now_s)
        begun |= lone is not None
        for key, side in ((a, "a"), (b, "b")):
            progress_of[key] = replace(job.progress(key), complete=len(pairs) + (lone == side))
        ratios[a] = {
            f"{one.round_id}+{other.round_id}": other.estimate / one.estimate
            for one, other in pairs
            if one.estimate and other.estimate
        }
    job = replace(job, progress_of=progress_of)
    # A workload that one side can't run, or that used up its tries, has no more pairs.
    able = [
        (a, b) for a, b in keys if a in job.plan and not any(_given_up(job, key, len(rounds_of.get(key, ()))) for key in (a, b))
    ]
    kept = {key for pair in able for key in pair}
    job = replace(job, plan={key: m for key, m in job.plan.items() if key in kept})
    out = any(unit.out or unit.name in job.gave_up or (job.spent(unit.name) and not begun) for unit in units.values())
    whole = able and not begun and max(job.progress(key).complete for key in kept) % 2 == 0  # blocks of two pairs
    if rule and whole and precise({a: ratios[a] for a, _ in able}, rule):
        return replace(job, rounds=min(job.progress(key).complete for key in kept))
    return replace(job, rounds=0) if out else job


def _given_up(job: JobProgress, key: Key, had: int) -> bool:
    """Failed, or tried too often: where every other half comes too late (a device that has to cool), pairs never end."""
    unfinished = job.progress(key).complete < job.rounds
    return unfinished and (not job.wants(key) or had >= TRIES * job.rounds + TRIES)


def _two_machines(units: Mapping[str, Unit]) -> str:
    """What to say where the sides turn out to be two machines; empty where they are one as far as they know.

    A machine is told by its boot, so only of hellos of now; and looked at once: it may start anew while it is measured.
    """
    machines = {unit.machine_id for unit in units.values() if unit.machine_id}  # "": the device can't tell
    if len(machines) < 2:
        return ""
    return (
        f"{' and '.join(units)} are two machines: what their rounds share does not cancel. Compare their tables: "
        "lutfarm run, lut export, lut diff"
    )
