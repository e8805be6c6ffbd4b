"""What becomes of shared work when a unit of a pool is quarantined.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lutfarm.scheduling.job_progress import JobProgress
from lutfarm.scheduling.round_cost import round_seconds
from lutfarm.scheduling.unit import Unit
from lutfarm.scheduling.work_sharing import Item, Share, divide, item_of
from lutfarm_jobs.job_file.devices import LEAST_ANCHORS
from lutfarm_jobs.measurement import Measurement


def reassign(job: JobProgress, units: Mapping[str, Unit]) -> tuple[JobProgress, tuple[Measurement, ...]]:
    """The job in which the other units of a pool have the shared work of its quarantined ones; and the new measurements.

    Anchors stay: they say how their own unit differs.  What a quarantined unit has finished stays its own where its
    anchors were measured well enough to correct it, and is measured again elsewhere where they were not.  A measurement
    that failed is a result, and stays.  Where no unit is left, nothing changes: the work waits.
    """
    added: list[Measurement] = []
    for share in job.shares:
        job, new = _reassigned(job, share, units)
        added += new
    return job, tuple(added)


def _reassigned(job: JobProgress, share: Share, units: Mapping[str, Unit]) -> tuple[JobProgress, list[Measurement]]:
    out = {name for name in share.units if units[name].quarantined or name in job.gave_up}
    able = [name for name in share.units if name not in out and not job.finished(name)]
    if not out or not able:
        return job, []
    elsewhere = {item_of(m) for m in job.plan.values() if m.device in able}
    moving: dict[Item, Measurement] = {}
    gone: set[str] = set()
    for key, measurement in job.plan.items():
        item = item_of(measurement)
        if measurement.device not in out or item in share.anchors:
            continue
        unfinished = job.wants(key)
        useless = not job.progress(key).failed and not _can_be_corrected(job, share, measurement)
        if unfinished or (useless and item not in elsewhere):
            gone.add(key)
            moving[item] = measurement
    if not moving:
        return job, []
    plan_of = {name: job.policies[name].slicing for name in share.units}
    busy_s = dict.fromkeys(able, 0.0)
    for key, m in job.plan.items():
        if m.device in busy_s and job.wants(key):
            busy_s[m.device] += job.rounds_left(key) * round_seconds(job, m, plan_of[m.device])
    takes_s = {item: job.rounds * round_seconds(job, m, plan_of[m.device]) for item, m in moving.items()}
    given = divide(takes_s, able, busy_s=busy_s)
    added = [replace(m, device=given[item]) for item, m in moving.items()]
    plan = {key: m for key, m in job.plan.items() if key not in gone} | {m.key: m for m in added}
    return replace(job, plan=plan), added


def _can_be_corrected(job: JobProgress, share: Share, measurement: Measurement) -> bool:
    """Whether its unit has enough measured anchors of its backend for a unit effect."""
    _, backend, conditions = item_of(measurement)
    mine = [
        key
        for key, m in job.plan.items()
        if m.device == measurement.device and item_of(m) in share.anchors and item_of(m)[1:] == (backend, conditions)
    ]
    return sum(job.progress(key).complete > 0 for key in mine) >= LEAST_ANCHORS
