"""Which device does what next, for which job.  Pure: the state and the time in, steps out."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from lutfarm.scheduling.next_step import due_seconds
from lutfarm.scheduling.state import FarmJob, FarmState
from lutfarm.scheduling.steps import Step, Wait

AGEING_S = 3600.0  # a job that got nothing of a machine for so long counts as one level more urgent there

_Ranks = Sequence[Mapping[str, Sequence[FarmJob]]]
_Queue = Sequence[tuple[FarmJob, bool]]


def decide(state: FarmState, now_s: float) -> list[Step]:
    """At most one step for each machine that is idle: units that share hardware take turns.

    Among the jobs that want something of it: first what can't wait, then the highest priority, then the user who had the
    least device time lately, then who came first.
    """
    machines = _idle_machines(state, now_s)
    if not machines:
        return []
    steps: list[Step] = []
    queue = _queue(state)
    used_s = dict(state.used_s(now_s))
    for idle in machines:
        for job in _in_turn(_ranks(queue, idle, now_s), used_s):
            mine = [name for name in idle if name in job.progress.policies]
            step = job.strategy.next(job.progress, state.units, mine, now_s)
            if isinstance(step, Wait):
                break
            if step is not None:
                used_s[job.user] = used_s.get(job.user, 0.0) + due_seconds(job.progress, step)
                steps.append(step)
                break
    return steps


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


def _queue(state: FarmState) -> _Queue:
    """Jobs that go on, the one that came first before the others, and whether they can't wait."""
    jobs = (job for job in state.jobs.values() if not job.progress.stopped and not job.progress.time_up)
    in_order = sorted(jobs, key=lambda job: (job.submitted_s, job.progress.id))
    return [(job, job.strategy.urgent(job.progress, state.units)) for job in in_order]


def _ranks(queue: _Queue, idle: Sequence[str], now_s: float) -> _Ranks:
    """The jobs that may use a machine by how urgent they are there, and by user; of a user in their order."""
    ranks: defaultdict[float, defaultdict[str, list[FarmJob]]] = defaultdict(lambda: defaultdict(list))
    for job, urgent in queue:
        mine = [job.served_s.get(name, 0.0) for name in idle if name in job.progress.policies]
        if mine:
            level = job.priority + (now_s - max(job.submitted_s, *mine)) // AGEING_S
            ranks[math.inf if urgent else level][job.user].append(job)
    return [ranks[level] for level in sorted(ranks, reverse=True)]


def _in_turn(ranks: _Ranks, used_s: Mapping[str, float]) -> Iterator[FarmJob]:
    for users in ranks:
        for user in sorted(users, key=lambda user: (used_s.get(user, 0.0), user)):
            yield from users[user]
