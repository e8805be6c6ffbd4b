"""Which device does what next, for which job.  Pure: the state and the time in, steps out."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lutfarm.scheduling.next_step import due_seconds
from lutfarm.scheduling.state import FarmJob, FarmState
from lutfarm.scheduling.steps import Cancel, MeasureThese, ProbeThese, Step, Wait

AGEING_S = 3600.0  # a job that got nothing of a machine for so long counts as one level more urgent there

# Of one turn: what is idle beyond that is looked at in the next, so that none takes long.
MOST_STEPS = 32
MOST_KEYS = 256

_Ranks = Sequence[Mapping[str, Sequence[FarmJob]]]


def decide(state: FarmState, now_s: float) -> list[Step]:
    """At most one step for each machine that is idle: units that share hardware take turns.

    Among the jobs that want something of it: first what can't wait, then the highest priority, then the user who had the
    least device time lately, then who came first.
    """
    machines = _idle_machines(state, now_s)
    if not machines:
        return []
    steps: list[Step] = []
    queue = _Queue.of(state, now_s)
    used_s = dict(state.used_s(now_s))
    for idle in machines:
        for job in _in_turn(queue.ranks(idle, now_s), used_s):
            mine = [name for name in idle if name in job.progress.policies]
            step = job.strategy.next(job.progress, state.units, mine, now_s) if mine else None
            if isinstance(step, Wait):
                break
            if step is not None:
                used_s[job.user] = used_s.get(job.user, 0.0) + due_seconds(job.progress, step)
                steps.append(step)
                break
        if is_full(steps):
            break
    return steps


def is_full(steps: Sequence[Step | Cancel]) -> bool:
    """Whether a turn gives no more than these, though more may be idle."""
    keys = sum(len(step.keys) for step in steps if isinstance(step, MeasureThese | ProbeThese))
    return len(steps) >= MOST_STEPS or keys >= MOST_KEYS


def _idle_machines(state: FarmState, now_s: float) -> list[list[str]]:
    """The units of each machine on which nothing runs, that may work now; the machine with the least device time first."""
    busy = {unit.machine for unit in state.units.values() if unit.in_flight}
    idle = [
        unit
        for unit in state.units.values()
        if unit.leased and not unit.in_flight and not unit.out and now_s >= unit.not_before_s
    ]
    machines: defaultdict[str, list[str]] = defaultdict(list)
    for unit in sorted(idle, key=lambda unit: (unit.spent_s, unit.name)):
        if unit.machine not in busy:
            machines[unit.machine].append(unit.name)
    return list(machines.values())


@dataclass(frozen=True, slots=True)
class _Queue:
    """Jobs that go on, the one that came first before the others."""

    jobs: Sequence[FarmJob]
    urgent: Collection[str]  # the ids of those that can't wait
    waiting: Sequence[FarmJob]  # those that are old enough to have got nothing of some machine for long
    young: _Ranks  # as long as they had something of a machine lately

    @classmethod
    def of(cls, state: FarmState, now_s: float) -> _Queue:
        """As of now."""
        going = (job for job in state.jobs.values() if not job.progress.stopped and not job.progress.time_up)
        jobs = sorted(going, key=lambda job: (job.submitted_s, job.progress.id))
        urgent = {job.progress.id for job in jobs if job.strategy.urgent(job.progress, state.units)}
        old = [job for job in jobs if now_s - job.submitted_s >= AGEING_S]
        return cls(jobs, urgent, old, _ranked(jobs, urgent, {}))

    def ranks(self, idle: Sequence[str], now_s: float) -> _Ranks:
        """Jobs by how urgent they are on a machine, and by user; of a user in their order."""
        grown: dict[str, float] = {}
        for job in self.waiting:
            served_s = max([job.served_s.get(name, 0.0) for name in idle if name in job.progress.policies], default=now_s)
            levels = (now_s - max(job.submitted_s, served_s)) // AGEING_S
            if levels > 0:
                grown[job.progress.id] = levels
        return _ranked(self.jobs, self.urgent, grown) if grown else self.young


def _ranked(jobs: Iterable[FarmJob], urgent: Collection[str], grown: Mapping[str, float]) -> _Ranks:
    """`grown`: by job, how many levels it has grown more urgent."""
    ranks: dict[float, dict[str, list[FarmJob]]] = {}
    for job in jobs:
        job_id = job.progress.id
        level = math.inf if job_id in urgent else job.priority + grown.get(job_id, 0.0)
        ranks.setdefault(level, {}).setdefault(job.user, []).append(job)
    return [ranks[level] for level in sorted(ranks, reverse=True)]


def _in_turn(ranks: _Ranks, used_s: Mapping[str, float]) -> Iterator[FarmJob]:
    for users in ranks:
        for user in sorted(users, key=lambda user: (used_s.get(user, 0.0), user)):
            yield from users[user]
