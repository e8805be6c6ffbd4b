"""Devices whose canary drifted are held, where their profile says from which ratio on.  By default they are only reported.

Pure: the state and what is known of canaries in, the state and what to tell out.
"""

from __future__ import annotations

from collections.abc import Mapping

from lutfarm.canary.history import Canary
from lutfarm.records.device_state import DeviceEvent
from lutfarm.scheduling.state import FarmState, out_of_work
from lutfarm.scheduling.wait_until_cool import Told


def after_drift(state: FarmState, canaries: Mapping[str, Canary]) -> tuple[FarmState, list[Told]]:
    """Without the units that are beyond their limit, of those that have just measured; and what to tell of them."""
    told: list[Told] = []
    for unit, found in canaries.items():
        limit = state.units[unit].care.hold_above
        event = drift_event(found, limit) if limit is not None else None
        if event is not None:
            state = state if state.units[unit].out else out_of_work(state, unit, "maintenance", event.reason)
            told.append(Told(unit, event))
    return state, told


def drift_event(found: Canary, hold_above: float) -> DeviceEvent | None:
    """Held, where all of the newest rounds are further than this ratio above or below an established reference."""
    recent, newest = found.recent, found.newest
    if recent is None or newest is None or 1 / hold_above <= recent.ratio <= hold_above:
        return None
    side = "more" if recent.ratio > 1 else "less"
    return DeviceEvent(
        "held",
        (
            f"its canary ({found.backend_key}) takes {recent.ratio:.2f} times its reference of {newest.reference_ns} ns "
            f"or {side}, in all of {recent.rounds} rounds over {recent.span_s:.0f} s: see what else runs there, its clocks "
            f"and cooling, then give it back with lutfarm device release {found.device}; "
            f"its profile's canary.hold_above is {hold_above:g}"
        ),
    )
