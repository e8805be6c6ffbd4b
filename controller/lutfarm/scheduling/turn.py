"""One turn of the loop: what it heard changes the state, and the state says what to do.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from lutfarm.agent_pool.interface import Done, Event
from lutfarm.records.device_state import NO_WORK, DeviceEvent, DeviceRecord
from lutfarm.scheduling.decide import Cancel, Step
from lutfarm.scheduling.drift_hold import after_drift
from lutfarm.scheduling.news import News
from lutfarm.scheduling.policy import MeasuringPolicy
from lutfarm.scheduling.rebalance import reassign
from lutfarm.scheduling.retry import MOST_ATTEMPTS
from lutfarm.scheduling.state import FarmState, after, back_to_work, out_of_work, resumed
from lutfarm.scheduling.strategy import Strategy
from lutfarm.scheduling.wait_until_cool import Told, after_heat, after_work
from lutfarm_jobs.measurement import Measurement


@dataclass(frozen=True, slots=True)
class Turned:
    """What a turn's news come to; `told` is for the devices' records, `moved` for the job's plan."""

    strategy: Strategy
    state: FarmState
    told: Sequence[Told] = ()
    moved: Sequence[Measurement] = ()


def after_news(strategy: Strategy, state: FarmState, news: News, policies: Mapping[str, MeasuringPolicy], now_s: float) -> Turned:
    """The state after a turn's news, in the order in which one thing follows from another."""
    state, moved = reassign(after(state, news.events, now_s), policies)
    state = after(resumed(state, news.progress_of), news.refused, now_s)
    strategy, state = strategy.after(state, news, now_s)
    state, hot = after_heat(state, news.events, policies, now_s)
    state, drifted = after_drift(state, news.canaries, policies)
    state = after_work(state, news.events, policies, now_s)
    told = [*hot, *drifted, *_broken_links(state, news.events)]
    state = without(state, news.records)
    for unit in news.given_back:
        state = back_to_work(state, unit)
    if state.until_s is not None and now_s >= state.until_s:
        state = replace(state, time_up=True)
    return Turned(strategy, state, told, moved)


def next_steps(
    strategy: Strategy, state: FarmState, policies: Mapping[str, MeasuringPolicy], now_s: float
) -> Sequence[Step | Cancel]:
    """What to do now.  When the time is up what runs is cancelled; what arrived of it is kept."""
    if state.time_up:
        return [Cancel(unit.name, unit.in_flight) for unit in state.units.values() if unit.in_flight and not unit.cancelled]
    return strategy.decide(state, policies, now_s)


def without(state: FarmState, records: Iterable[DeviceRecord]) -> FarmState:
    """The job's state without the devices that may not be used."""
    for record in records:
        if record.state in NO_WORK and not state.units[record.unit].out:
            state = out_of_work(state, record.unit, record.state, record.reason, code=record.code)
    return state


def _broken_links(state: FarmState, events: Iterable[Event]) -> list[Told]:
    """Of orders that ended with an error which did not end the job: whether the device is tried again."""
    told: list[Told] = []
    for event in events:
        if not isinstance(event, Done) or event.error is None:
            continue
        unit = state.units[event.unit]
        if unit.out:
            kind = "link lost" if unit.out == "lost" else "device failed"
            told.append(Told(unit.name, DeviceEvent(kind, unit.quarantined, code=unit.code)))
        elif not state.stopped:
            why = f"{event.error[0]}: {event.error[1][:500]} (attempt {unit.failures_in_a_row} of {MOST_ATTEMPTS})"
            told.append(Told(unit.name, DeviceEvent("link failing", why, code=event.error[0], until_s=unit.not_before_s)))
    return told
