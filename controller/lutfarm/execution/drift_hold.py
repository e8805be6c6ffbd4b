"""Devices whose canary drifted are held, where their profile says from which ratio on.  By default they are only reported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lutfarm.agent_pool.interface import Event, Measured
from lutfarm.canary.history import Canary, canary
from lutfarm.records.device_state import NO_WORK, DeviceEvent
from lutfarm.scheduling.policy import MeasuringPolicy
from lutfarm.scheduling.resting import Told
from lutfarm.store.interface import Store
from lutfarm_jobs.measurement_key import MeasurementKey


def after_drift(store: Store, events: Iterable[Event], policies: Mapping[str, MeasuringPolicy], now_s: float) -> list[Told]:
    """What to tell of the units whose runs have just arrived: those that are beyond their limit, and not out of work already."""
    newest = {event.run.unit: event.run for event in events if isinstance(event, Measured)}
    told: list[Told] = []
    for unit, run in newest.items():
        limit = policies[unit].hold_above if unit in policies else None
        if limit is None or store.device_record(unit, now_s).state in NO_WORK:
            continue
        backend, conditions = MeasurementKey.parse(run.key).canary
        event = drift_event(canary(store, unit, backend, conditions), limit)
        if event is not None:
            told.append(Told(unit, event))
    return told


def drift_event(found: Canary, hold_above: float) -> DeviceEvent | None:
    """Held, where all of the newest rounds are further than this ratio above or below an established reference.  Pure."""
    recent, newest = found.recent, found.newest
    if recent is None or newest is None or 1 / hold_above <= recent.ratio <= hold_above:
        return None
    side = "more" if recent.ratio > 1 else "less"
    return DeviceEvent(
        "held",
        (
            f"its canary ({found.backend_key}) takes {recent.ratio:.2f} times its reference of {newest.reference_ns} ns "
            f"or {side}, in all of {recent.rounds} rounds over {recent.span_s:.0f} s: see what else runs there, its clocks "
            f"and cooling, then give it back with lutfarm device release {found.unit}; "
            f"its profile's canary.hold_above is {hold_above:g}"
        ),
    )
