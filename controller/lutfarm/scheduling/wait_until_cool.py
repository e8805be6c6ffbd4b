"""Devices rest: those that got too hot until they are cool, some kinds after each order.

Pure: the state and events in, the state and what to tell out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from lutfarm.agent_pool.interface import Event, Measured, Opened, Probed
from lutfarm.records.device_state import DeviceEvent
from lutfarm.scheduling.state import FarmState, out_of_work, with_unit


@dataclass(frozen=True, slots=True)
class Told:
    """What happened to a unit, for its record."""

    unit: str
    event: DeviceEvent


def after_heat(state: FarmState, events: Iterable[Event], now_s: float) -> tuple[FarmState, Sequence[Told]]:
    """Rest units that are above their limit or throttled, wake those that are below `resume_c`, give up those that stay hot.

    A resting unit is opened anew every `look_s`: its hello carries the temperature.  One that throttled and shows no
    temperature rests once.
    """
    told: list[Told] = []
    for event in events:
        name, temperature_c, throttled = _reading(event)
        cooling = state.units[name].care.cooling if name in state.units else None
        if cooling is None or (temperature_c is None and not throttled and not isinstance(event, Opened)):
            continue
        unit = state.units[name]
        resting = unit.hot_since_s is not None
        if not throttled and (temperature_c is None or temperature_c <= (cooling.resume_c if resting else cooling.limit_c)):
            if resting:
                state = with_unit(state, replace(unit, hot_since_s=None))
                told.append(Told(name, DeviceEvent("cooled", _seen(temperature_c))))
            continue
        since_s = now_s if unit.hot_since_s is None else unit.hot_since_s
        seen = f"{'throttled at ' if throttled else ''}{_seen(temperature_c)}, and it goes on at {cooling.resume_c:.1f} C"
        if resting and now_s - since_s >= cooling.wait_s:
            reason = f"still {seen} after {now_s - since_s:.0f} s: see its fan and airflow, then check it"
            state = out_of_work(state, name, "quarantined", reason)
            told.append(Told(name, DeviceEvent("device failed", reason)))
            continue
        until_s = now_s + cooling.look_s
        state = with_unit(state, replace(unit, hot_since_s=since_s, not_before_s=until_s, opened=False))
        told.append(Told(name, DeviceEvent("too hot", seen, until_s=until_s)))
    return state, told


def _seen(temperature_c: float | None) -> str:
    return "a temperature that it does not show" if temperature_c is None else f"{temperature_c:.1f} C"


def after_work(state: FarmState, events: Sequence[Event], now_s: float) -> FarmState:
    """Units whose kind rests after work have no order before their cooldown is over; it begins with the last result."""
    worked = [event.run.device for event in events if isinstance(event, Measured)]
    worked += [event.probe.device for event in events if isinstance(event, Probed)]
    for name in dict.fromkeys(worked):
        unit = state.units[name]
        if unit.care.cooldown_s:
            state = with_unit(state, replace(unit, not_before_s=max(unit.not_before_s, now_s + unit.care.cooldown_s)))
    return state


def rests_until_s(cooldown_s: float, ended_s: float | None, now_s: float) -> float | None:
    """When a unit whose last run ended then may have its next order, as far as its cooldown goes; None: now."""
    if ended_s is None or not cooldown_s or ended_s + cooldown_s <= now_s:
        return None
    return ended_s + cooldown_s


def _reading(event: Event) -> tuple[str, float | None, bool]:
    """The unit, how hot it is, and whether it slowed itself in the round that has ended."""
    if isinstance(event, Opened):
        return event.unit, event.hello.environment.temperature_c if event.hello.environment else None, False
    if isinstance(event, Measured):
        return event.run.device, event.run.after.temperature_c if event.run.after else None, event.run.throttled
    return "", None, False
