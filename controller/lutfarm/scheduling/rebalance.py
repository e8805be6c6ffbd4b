"""What becomes of shared work when a unit of a pool is quarantined.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lutfarm.scheduling.policy import MeasuringPolicy
from lutfarm.scheduling.round_cost import round_seconds
from lutfarm.scheduling.state import FarmState
from lutfarm.scheduling.work_sharing import Item, Share, divide, item_of
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.spec import LEAST_ANCHORS


def reassign(state: FarmState, policies: Mapping[str, MeasuringPolicy]) -> tuple[FarmState, tuple[Measurement, ...]]:
    """The state in which the other units of a pool have the shared work of its quarantined ones; and the new measurements.

    Anchors stay: they say how their own unit differs.  What a quarantined unit has finished stays its own where its
    anchors were measured well enough to correct it, and is measured again elsewhere where they were not.  A measurement
    that failed is a result, and stays.  Where no unit is left, nothing changes: the work waits.
    """
    added: list[Measurement] = []
    for share in state.shares:
        state, new = _reassigned(state, share, policies)
        added += new
    return state, tuple(added)


def _reassigned(state: FarmState, share: Share, policies: Mapping[str, MeasuringPolicy]) -> tuple[FarmState, list[Measurement]]:
    out = {name for name in share.units if state.units[name].quarantined}
    able = [name for name in share.units if name not in out and not state.spent(state.units[name])]
    if not out or not able:
        return state, []
    elsewhere = {item_of(m) for m in state.plan.values() if m.unit in able}
    moving: dict[Item, Measurement] = {}
    gone: set[str] = set()
    for key, measurement in state.plan.items():
        item = item_of(measurement)
        if measurement.unit not in out or item in share.anchors:
            continue
        unfinished = state.wants(key)
        useless = not state.progress(key).failed and not _can_be_corrected(state, share, measurement)
        if unfinished or (useless and item not in elsewhere):
            gone.add(key)
            moving[item] = measurement
    if not moving:
        return state, []
    plan_of = {name: policies[name].plan for name in share.units}
    busy_s = dict.fromkeys(able, 0.0)
    for key, m in state.plan.items():
        if m.unit in busy_s and state.wants(key):
            busy_s[m.unit] += state.rounds_left(key) * round_seconds(state, m, plan_of[m.unit])
    takes_s = {item: state.rounds * round_seconds(state, m, plan_of[m.unit]) for item, m in moving.items()}
    given = divide(takes_s, able, busy_s=busy_s)
    added = [replace(m, unit=given[item]) for item, m in moving.items()]
    plan = {key: m for key, m in state.plan.items() if key not in gone} | {m.key: m for m in added}
    return replace(state, plan=plan), added


def _can_be_corrected(state: FarmState, share: Share, measurement: Measurement) -> bool:
    """Whether its unit has enough measured anchors of its backend for a unit effect."""
    _, backend, conditions = item_of(measurement)
    mine = [
        key
        for key, m in state.plan.items()
        if m.unit == measurement.unit and item_of(m) in share.anchors and item_of(m)[1:] == (backend, conditions)
    ]
    return sum(state.progress(key).complete > 0 for key in mine) >= LEAST_ANCHORS
