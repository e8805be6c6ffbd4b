"""Which devices a farm asks for, and which it gives back, where others want the same ones.  Pure.

Nobody keeps a device from others that it has no use for now.  A plain job uses each device by itself, so no two farms wait for
each other.  A job that needs all of its devices together asks for them in the order of their names, and keeps none while it
lacks one that comes before: whoever waits with a device in hand waits for one that comes after it, and that never makes a circle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lutfarm.scheduling.state import FarmJob, FarmState, over
from lutfarm.scheduling.unit import Unit


def to_take(state: FarmState) -> Mapping[str, str]:
    """Units without a lease that a job has use for, by name, and the id of the job that came first among those."""
    wanted: dict[str, str] = {}
    first = sorted(state.jobs.values(), key=lambda job: (job.submitted_s, job.progress.id))
    for unit in sorted(state.units.values(), key=lambda unit: unit.name):
        if not unit.leased and not unit.in_flight and (user := _user(first, unit, state.units)):
            wanted[unit.name] = user.progress.id
    return wanted


def to_give_back(state: FarmState) -> list[str]:
    """Leased units on which nothing runs, and that no job has use for now."""
    idle = (unit for unit in state.units.values() if unit.leased and not unit.in_flight)
    return [unit.name for unit in idle if _user(state.jobs.values(), unit, state.units) is None]


def _user(jobs: Iterable[FarmJob], unit: Unit, units: Mapping[str, Unit]) -> FarmJob | None:
    """The first job that has use for a unit."""
    return next((job for job in jobs if unit.name in job.progress.policies and _has_use(job, unit, units)), None)


def _has_use(job: FarmJob, unit: Unit, units: Mapping[str, Unit]) -> bool:
    progress = job.progress
    if unit.out or progress.stopped or progress.time_up:
        return False
    if job.strategy.together:
        before = (units[name] for name in progress.policies if name < unit.name)
        return not over(progress, units) and all(other.leased for other in before)
    return not progress.finished(unit.name) and bool(progress.wanted(unit.name))
