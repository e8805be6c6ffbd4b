"""Why a stored job is where it is, by what the store says of it and of its devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lutfarm.devices.registry import with_profiles
from lutfarm.execution.resume import as_stored, foresee
from lutfarm.monitoring.device_status import PACE_S, rests_until, runs_left, seconds_left
from lutfarm.monitoring.why import Turn, Why, why
from lutfarm.records.job import Job
from lutfarm.records.lease_holder import LeaseHolder
from lutfarm.scheduling.job_progress import JobProgress, resumed
from lutfarm.scheduling.policy import MeasuringPolicy, policies_of
from lutfarm.scheduling.stop_rule import stop_rule
from lutfarm.store.interface import RunStore, Store, job_called
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.spec import stored_job
from lutfarm_profiles import loader


def why_job(store: Store, name: str, now_s: float) -> tuple[Job, list[Why]]:
    """A job by its id, its name or the start of its id, and one `Why` for each of its devices.  Raises SpecError."""
    job, _ = job_called(store, name)
    plan = store.measurements(job.id)
    units = list(dict.fromkeys(m.device for m in plan))
    state = _standing(store, job, plan)
    holders = {unit: held for unit in units if (held := store.lease_holder(unit, now_s))}
    rows = why(
        [store.device_record(unit, now_s) for unit in units],
        plan,
        done={m.key for m in plan if state.done(m.key)},
        failed={m.key for m in plan if state.progress(m.key).failed},
        job_id=job.id,
        holders=holders,
        rests={unit: until_s for unit in units if (until_s := rests_until(store, unit, now_s)) is not None},
        turns=_turns(store, job, holders, now_s),
        now_s=now_s,
        state=job.state,
        served=any(entry.job_id == job.id for entry in store.queue()),
    )
    return job, rows


def _turns(store: Store, job: Job, holders: Mapping[str, LeaseHolder], now_s: float) -> Mapping[str, Turn]:
    """Of the devices that the served farm which has taken the job holds for another one."""
    taken = {entry.job_id for entry in store.queue() if entry.not_before_s <= now_s}
    shared = [unit for unit, held in holders.items() if held.job_id in taken - {job.id}]
    if not shared or job.id not in taken or job.state != "open":
        return {}
    left: dict[str, dict[str, int]] = {unit: {} for unit in shared}
    for other, _ in store.jobs():
        if other.id in taken and other.state == "open" and _comes_before(other, job):
            plan, counts, rounds = store.measurements(other.id), store.round_counts(other.id), _rounds(other)
            for unit in shared:
                if lacking := runs_left([m for m in plan if m.device == unit], counts, rounds):
                    left[unit][other.id] = lacking
    return {unit: _turn(store, unit, left[unit], now_s) for unit in shared}


def _comes_before(other: Job, job: Job) -> bool:
    """As the loop decides: what users had of the devices is not in the store."""
    older = (other.created_s, other.id) < (job.created_s, job.id)
    return other.priority > job.priority or (other.priority == job.priority and other.user == job.user and older)


def _turn(store: RunStore, unit: str, left: Mapping[str, int], now_s: float) -> Turn:
    recent = list(store.runs_after(now_s - PACE_S, device=unit))
    return Turn(tuple(left), seconds_left(recent, sum(left.values())) if left else None)


def _rounds(job: Job) -> int:
    return stored_job(job.spec_json).sampling.rounds


def _standing(store: Store, job: Job, plan: Sequence[Measurement]) -> JobProgress:
    """How far the job is, by the rule of `plan` and of the next run: what counts is what a device measured as it is now."""
    spec = stored_job(job.spec_json)
    units = list(dict.fromkeys(m.device for m in plan))
    profiles = loader.names()
    known = with_profiles(
        device
        for unit in units
        if (device := store.device(unit)) is not None and device.profile in profiles and store.hello(unit) is not None
    )
    policies = policies_of(spec, known)
    by_unit = {unit: policies.get(unit, MeasuringPolicy()) for unit in units}  # of those that are gone nothing is measured
    standing = JobProgress(job.id, {m.key: m for m in plan}, by_unit, spec.sampling.rounds, rule=stop_rule(spec))
    for unit in policies:
        standing, _ = foresee(store, standing, unit, fresh_since_s=job.created_s if spec.fresh else None)
    gone = [m for m in plan if m.device not in known]
    return resumed(standing, as_stored(store, job, gone).progress_of) if gone else standing
