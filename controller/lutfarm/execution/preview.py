"""What a job would measure, what the store has of it, and how long it would take.  Changes nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from lutfarm.devices.same_hardware import machines_of
from lutfarm.execution.host_load import LOADED_CORES, Load, watch
from lutfarm.execution.past_rounds import known_of
from lutfarm.execution.resume import foresee
from lutfarm.scheduling.durations import LOADED_PACE, Parts, work_left
from lutfarm.scheduling.job_progress import JobProgress
from lutfarm.scheduling.unit import Unit
from lutfarm.store.interface import DevicesAndRuns, Store
from lutfarm.submission.submission import Submission
from lutfarm_jobs.runtimes import model_format

LOOK_S = 1.0  # at what else computes on this machine


@dataclass(frozen=True, slots=True)
class DevicePreview:
    """One device's part, in measurements and in runs that the store has."""

    device: str
    measurements: int
    to_measure: int
    own_runs: int
    reused_runs: int


@dataclass(frozen=True, slots=True)
class Preview:
    """A job before it runs; `parts`: how long each part takes, without the program's own start and end.

    `slowdown`: about how many times longer those take on this machine than alone; 1 where nobody looked.
    """

    devices: tuple[DevicePreview, ...]
    parts: Parts
    job: JobProgress
    slowdown: float = 1.0


def preview(submitted: Submission, store: Store) -> Preview:
    """What `run` would do now.  Looks for a second at this machine where it is one of the devices."""
    spec = submitted.spec
    job = submitted.begun
    known = store.job(spec.id)
    fresh_since_s = (known[0].created_s if known else time.time()) if spec.fresh else None
    devices: list[DevicePreview] = []
    for unit in submitted.devices:
        job, had = foresee(store, job, unit, fresh_since_s=fresh_since_s)
        devices.append(DevicePreview(unit, len(job.planned(unit)), len(job.wanted(unit)), had.own_runs, had.adopted_runs))
    load = watch(LOOK_S) if any(each.device.address.here for each in submitted.devices.values()) else None
    return Preview(tuple(devices), _parts(submitted, job, store, load), job, load.slowdown if load else 1.0)


def _parts(submitted: Submission, job: JobProgress, store: DevicesAndRuns, load: Load | None) -> Parts:
    """What is left, by what the store knows of the devices, and for this machine by what else runs on it now."""
    known = {
        unit: known_of(store, unit, submitted.plan, submitted.policies[unit], submitted.expected_ns) for unit in submitted.devices
    }
    machines = machines_of(store)  # units of one machine take turns
    units = {name: Unit(name, policy.care, machines.get(name, "")) for name, policy in job.policies.items()}
    transports = {unit: device.device.transport for unit, device in submitted.devices.items()}
    if load is not None and load.others >= LOADED_CORES:  # not what was before
        known = {
            unit: replace(one, pace=LOADED_PACE) if transports[unit] == "local" and one.pace is None else one
            for unit, one in known.items()
        }
    return work_left(job, units, known, format_of=model_format, transports=transports)
