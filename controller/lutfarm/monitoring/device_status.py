"""What the farm's devices are doing, from the store alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lutfarm.canary.history import Canary, canary
from lutfarm.records.job import Job
from lutfarm.scheduling.wait_until_cool import rests_until_s
from lutfarm.store.interface import CanaryStore, DevicesAndRuns, JobsAndRuns, JobStore, Store
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.measurement_key import MeasurementKey
from lutfarm_jobs.run import Run
from lutfarm_jobs.spec import stored_job
from lutfarm_profiles import loader

PACE_S = 1800.0  # how far back the pace of a device is looked at
LEAST_RUNS = 2  # fewer say nothing about a pace


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """One device.  Times are Unix times in seconds; None where nothing is known."""

    device: str
    profile: str
    transport: str
    state: str
    reason: str
    since_s: float
    temperature_c: float | None
    seen_s: float | None  # its last hello, or the end of its last run
    checked_s: float | None
    fit: bool | None  # what the last check found
    holder: str  # who has its lease, or empty
    job_id: str  # of the open job that measures on it, or empty
    runs_left: int  # of that job on this device, at most: what is precise stops sooner
    seconds_left: float | None  # for those, at the pace of the last half hour
    canary_drift: float | None  # the last round's canary level / its reference
    canary_settled: float | None  # the same of that of the newest rounds that is nearest to it
    canary_provisional: bool | None  # whether that reference still is
    canary_since_s: float | None  # when its epoch began
    heat_waits: int  # how often it rested because it was too hot, in its whole history
    rests_until_s: float | None  # while the cooldown of its kind lasts, between two orders of a job


def devices_status(store: Store, now_s: float) -> list[DeviceStatus]:
    """All registered devices, by name."""
    jobs = open_jobs(store)
    return [device_status(store, device.name, jobs, now_s) for device in sorted(store.devices(), key=lambda d: d.name)]


def open_jobs(store: JobStore) -> list[Job]:
    """Those that were begun and are not over."""
    return [job for job, _ in store.jobs(states=("open",))]


def device_status(store: Store, name: str, open_jobs: Sequence[Job], now_s: float) -> DeviceStatus:
    """One device, registered or not."""
    device = store.device(name)
    record, hello = store.device_record(name, now_s), store.hello(name)
    held = store.lease_holder(name, now_s)
    recent = list(store.runs_after(now_s - PACE_S, device=name))
    last = recent[-1] if recent else next(iter(store.last_runs(name, most=1)), None)
    shown = last_canary(store, last)
    newest, settled = (shown.newest, shown.recent) if shown else (None, None)
    job_id, left = _work_left(store, name, held.job_id if held else "", open_jobs)
    seen = [at for at in (hello[1] if hello else None, last.ended_s if last else None) if at is not None]
    return DeviceStatus(
        device=name,
        profile=device.profile if device else "",
        transport=device.transport if device else "",
        state=record.state,
        reason=record.reason,
        since_s=record.since_s,
        temperature_c=_temperature_c(last, hello),
        seen_s=max(seen, default=None),
        checked_s=record.checked_s,
        fit=record.fit,
        holder=held.words if held else "",
        job_id=job_id,
        runs_left=left,
        seconds_left=seconds_left(recent, left) if held else None,
        canary_drift=shown.last_ratio if shown else None,
        canary_settled=settled.ratio if settled else None,
        canary_provisional=newest.provisional if newest else None,
        canary_since_s=newest.since_s if newest else None,
        heat_waits=store.heat_waits(name),
        rests_until_s=rests_until(store, name, now_s) if job_id else None,
    )


def rests_until(store: DevicesAndRuns, name: str, now_s: float) -> float | None:
    """When the cooldown after the device's last run is over; None where none lasts."""
    device, last = store.device(name), next(iter(store.last_runs(name, most=1)), None)
    if device is None or last is None or device.profile not in loader.names():
        return None
    return rests_until_s(loader.load(device.profile).cooldown_s, last.ended_s, now_s)


def _temperature_c(last: Run | None, hello: tuple[object, float] | None) -> float | None:
    if last is not None and last.after is not None and (hello is None or last.ended_s >= hello[1]):
        return last.after.temperature_c
    environment = getattr(hello[0], "environment", None) if hello else None
    return environment.temperature_c if environment else None


def _work_left(store: JobsAndRuns, device: str, job_id: str, open_jobs: Sequence[Job]) -> tuple[str, int]:
    for job in open_jobs:
        if job.id == job_id:
            plan = [m for m in store.measurements(job.id) if m.device == device]
            rounds = stored_job(job.spec_json).sampling.rounds
            return job.id, runs_left(plan, store.round_counts(job.id), rounds)
    return "", 0


def runs_left(plan: Sequence[Measurement], counts: Mapping[str, Mapping[str, int]], rounds: int) -> int:
    """Runs that measurements without a failure still lack."""
    by_status = [counts.get(m.key, {}) for m in plan]
    return sum(max(0, rounds - found.get("complete", 0)) for found in by_status if not found.get("failed"))


def seconds_left(recent: Sequence[Run], left: int) -> float | None:
    """What so many runs take at the pace of those; of a round they end together: it is from the first start to the last end."""
    complete = [run for run in recent if run.status == "complete"]
    if len(complete) < LEAST_RUNS:
        return None
    span_s = max(run.ended_s for run in complete) - min(run.started_s for run in complete)
    return left * span_s / len(complete)


def last_canary(store: CanaryStore, run: Run | None) -> Canary | None:
    """The canary that ran in a run's round; None without a run, or where it shows none."""
    if run is None:
        return None
    backend, conditions = MeasurementKey.parse(run.key).canary
    found = canary(store, run.device, backend, conditions)
    return found if found.rounds else None
