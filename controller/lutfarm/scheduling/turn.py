"""One turn of the loop: what it heard changes the state, and the state says what to do.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lutfarm.agent_pool.interface import Done, Event, Measured, Probed
from lutfarm.records.device_state import NO_WORK, DeviceEvent, DeviceRecord
from lutfarm.scheduling.decide import decide
from lutfarm.scheduling.drift_hold import after_drift
from lutfarm.scheduling.job_progress import refused, resumed
from lutfarm.scheduling.news import News
from lutfarm.scheduling.rebalance import reassign
from lutfarm.scheduling.retry import MOST_ATTEMPTS
from lutfarm.scheduling.state import FarmState, after, out_of_work, tried_again, with_job, with_jobs, with_moved, without_lease
from lutfarm.scheduling.steps import Cancel, Step
from lutfarm.scheduling.strategy import JobNews
from lutfarm.scheduling.wait_until_cool import Told, after_heat, after_work
from lutfarm_jobs.errors import Retry, from_wire
from lutfarm_jobs.measurement import Measurement


@dataclass(frozen=True, slots=True)
class Turned:
    """What a turn's news come to; `told` is for the devices' records, `moved` for the plans of jobs."""

    state: FarmState
    told: Sequence[Told] = ()
    moved: Mapping[str, Sequence[Measurement]] = field(default_factory=dict[str, Sequence[Measurement]])


def after_news(state: FarmState, news: News, now_s: float) -> Turned:
    """The state after a turn's news, in the order in which one thing follows from another."""
    state = with_dropped(without_lease(state, news.lost), news.dropped)
    # Whom a result counts for is known while its order runs: it is looked at before the order's end is.
    heard = {job_id: list[Event]() for job_id in state.jobs}
    for event in news.events:
        for job_id in state.readers(event) if isinstance(event, Measured | Probed) else state.jobs:
            heard[job_id].append(event)
    state = after(state, news.events, now_s)
    shared = {job_id: reassign(job.progress, state.units) for job_id, job in state.jobs.items()}
    moved = {job_id: new for job_id, (_, new) in shared.items() if new}
    known = {job_id: resumed(job, news.progress_of.get(job_id, {})) for job_id, (job, _) in shared.items()}
    state = with_jobs(state, [refused(job, news.refused.get(job_id, ())) for job_id, job in known.items()])
    state = with_moved(state) if moved else state
    for job_id, job in state.jobs.items():
        mine = JobNews(heard[job_id], news.paired_rounds.get(job_id, {}))
        strategy, progress = job.strategy.after(job.progress, state.units, mine, now_s)
        if strategy is not job.strategy or progress is not job.progress:
            state = with_job(state, progress, strategy)
    state, hot = after_heat(state, news.events, now_s)
    state, drifted = after_drift(state, news.canaries)
    state = after_work(state, news.events, now_s)
    told = [*hot, *drifted, *_broken_links(state, news.events)]
    state = without(state, news.records)
    state = tried_again(state, news.given_back)
    late = [job for each in state.jobs.values() if (job := each.progress).until_s is not None and now_s >= job.until_s]
    return Turned(with_jobs(state, [replace(job, time_up=True) for job in late if not job.time_up]), told, moved)


def next_steps(state: FarmState, now_s: float) -> Sequence[Step | Cancel]:
    """What to do now.  What runs for jobs whose time is up is cancelled; what arrived of it is kept."""
    late = {job_id for job_id, job in state.jobs.items() if job.progress.time_up}
    cancels = [
        Cancel(unit.name, unit.in_flight)
        for unit in state.units.values()
        if unit.in_flight and unit.jobs and late.issuperset(unit.jobs) and not unit.cancelled
    ]
    return [*cancels, *decide(state, now_s)]


def without(state: FarmState, records: Iterable[DeviceRecord]) -> FarmState:
    """Without the devices that may not be used."""
    for record in records:
        if record.state in NO_WORK and not state.units[record.device].out:
            state = out_of_work(state, record.device, record.state, record.reason, code=record.code)
    return state


def with_dropped(state: FarmState, dropped: Mapping[str, int]) -> FarmState:
    """With how many results of units were not stored."""
    units = {name: replace(unit, dropped=unit.dropped + n) for name, n in dropped.items() if (unit := state.units.get(name))}
    return replace(state, units={**state.units, **units}) if units else state


def _broken_links(state: FarmState, events: Iterable[Event]) -> list[Told]:
    """Of orders that ended with an error that is the device's or its link's: whether it is tried again."""
    told: list[Told] = []
    for event in events:
        if not isinstance(event, Done) or event.error is None:
            continue
        unit = state.units[event.unit]
        if not unit.leased:  # another has it, and says how it is
            continue
        if unit.out:
            kind = "link lost" if unit.out == "lost" else "device failed"
            told.append(Told(unit.name, DeviceEvent(kind, unit.quarantined, code=unit.code)))
        elif from_wire(*event.error).retry is Retry.SAME_DEVICE:
            why = f"{event.error[0]}: {event.error[1][:500]} (attempt {unit.failures_in_a_row} of {MOST_ATTEMPTS})"
            told.append(Told(unit.name, DeviceEvent("link failing", why, code=event.error[0], until_s=unit.not_before_s)))
    return told
