"""The jobs of the farm: sending, reading, ending and removing them."""

from __future__ import annotations

import json
import time
from typing import Annotated

from fastapi import APIRouter, Path, Response

from lutfarm.api.answers import JobAnswer, JobDetail, JobStanding, Page, QueueAnswer, RemovedAnswer, WhyAnswer
from lutfarm.api.requests import CancelRequest, JobRequest
from lutfarm.api.root import API
from lutfarm.execution.why_job import why_job
from lutfarm.records.job import Job, JobCounts
from lutfarm.server.api.paging import CursorQuery, LimitQuery, after_of, cursor_of
from lutfarm.server.intake.kinds import Compares, Validates
from lutfarm.server.intake.reception import Wanted
from lutfarm.server.served import CallerDep, Served, ServedDep
from lutfarm.store.interface import job_called

router = APIRouter(prefix=f"{API}/jobs", tags=["jobs"])
JOB_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
JobName = Annotated[str, Path(pattern=JOB_PATTERN, description="its id, the start of it, or its name")]
JobId = Annotated[str, Path(pattern=JOB_PATTERN, description="its whole id")]


@router.get("")
def jobs(served: ServedDep, limit: LimitQuery = 100, cursor: CursorQuery = None) -> Page[JobAnswer]:
    """All jobs, the newest first."""
    after = after_of(cursor, (float, str))
    place = None if after is None else (float(after[0]), str(after[1]))
    found = served.store.jobs(most=limit + 1, after=place)
    if len(found) <= limit:
        return Page(items=[JobAnswer.of(*one) for one in found])
    last, _ = found[limit - 1]
    return Page(items=[JobAnswer.of(*one) for one in found[:limit]], next=cursor_of((last.created_s, last.id)))


@router.post(
    "", status_code=201, responses={200: {"model": JobDetail, "description": "The job was known, and nothing of it is doubled"}}
)
def submit(served: ServedDep, caller: CallerDep, asked: JobRequest, response: Response) -> JobDetail:
    """Send a job.  It is checked as `lutfarm run` would, and waits in the queue; 200 where the farm had it already."""
    wanted = Wanted(asked.job, asked.files, asked.priority, asked.retry_failed, asked.until_s, _kind(asked))
    job, new = served.reception.accept(wanted, caller)
    response.status_code = 201 if new else 200
    response.headers["Location"] = f"{API}/jobs/{job.id}"
    return _detail(served, *job_called(served.store, job.id))


def _kind(asked: JobRequest) -> Compares | Validates | None:
    if (sides := asked.compares) is not None:
        return Compares(sides.a.settings, sides.b.settings, sides.rounds, sides.target)
    if (study := asked.validates) is not None:
        return Validates(study.job, study.networks, study.calibrate, study.seed, study.space)
    return None


@router.get("/{job_id}")
def job(served: ServedDep, job_id: JobName) -> JobDetail:
    """One job, with what it asks for."""
    return _detail(served, *job_called(served.store, job_id))


@router.get("/{job_id}/why")
def why(served: ServedDep, job_id: JobName) -> WhyAnswer:
    """Why a job is where it is: each device's state, what it waits for and what comes next; what is done, failed, left."""
    found, rows = why_job(served.store, job_id, time.time())
    return WhyAnswer(job=found.id, state=found.state, reason=found.reason, devices=rows)


@router.post("/{job_id}/cancel", status_code=202)
def cancel(served: ServedDep, caller: CallerDep, job_id: JobId, asked: CancelRequest) -> JobDetail:
    """End a job: what runs for it is cancelled, what was measured stays.  It is over once its state says so."""
    own = served.reception.own(job_id, caller)
    said = "".join(c if c.isprintable() else " " for c in asked.why).strip()
    served.reception.cancel(own, caller, said)
    return _detail(served, *job_called(served.store, own.id))


@router.delete("/{job_id}")
def remove(served: ServedDep, caller: CallerDep, job_id: JobId) -> RemovedAnswer:
    """Remove a job that is over, with the runs and probes that no other job reads, and its files."""
    own = served.reception.own(job_id, caller)
    gone = served.reception.remove(own, caller)
    return RemovedAnswer(job=own.id, measurements=gone.measurements, runs=gone.runs, runs_kept=gone.runs_kept, probes=gone.probes)


def standing(served: Served, found: Job, counts: JobCounts) -> JobStanding:
    """A job and what is still to be done for it."""
    entry = next((entry for entry in served.store.queue() if entry.job_id == found.id), None)
    return JobStanding(**dict(JobAnswer.of(found, counts)), queue=None if entry is None else QueueAnswer.of(entry))


def _detail(served: Served, found: Job, counts: JobCounts) -> JobDetail:
    return JobDetail(**dict(standing(served, found, counts)), spec=json.loads(found.spec_json), zeros=found.zeros)
