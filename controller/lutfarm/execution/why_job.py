"""Why a stored job is where it is, by what the store says of it and of its devices."""

from __future__ import annotations

from lutfarm.execution.resume import as_stored
from lutfarm.monitoring.device_status import rests_until
from lutfarm.monitoring.why import Why, why
from lutfarm.records.job import Job
from lutfarm.store.interface import Store, job_called


def why_job(store: Store, name: str, now_s: float) -> tuple[Job, list[Why]]:
    """A job by its id, its name or the start of its id, and one `Why` for each of its devices.  Raises SpecError."""
    job, _ = job_called(store, name)
    plan = store.measurements(job.id)
    units = list(dict.fromkeys(m.unit for m in plan))
    state = as_stored(store, job, plan)
    rows = why(
        [store.device_record(unit, now_s) for unit in units],
        plan,
        done={m.key for m in plan if state.done(m.key)},
        failed={m.key for m in plan if state.progress(m.key).failed},
        job_id=job.id,
        holders={unit: held for unit in units if (held := store.lease_holder(unit, now_s))},
        rests={unit: until_s for unit in units if (until_s := rests_until(store, unit, now_s)) is not None},
    )
    return job, rows
