"""The jobs of the farm: reading them."""

from __future__ import annotations

import json
import time
from typing import Annotated

from fastapi import APIRouter, Path

from lutfarm.execution.why_job import why_job
from lutfarm.server.api.answers import JobAnswer, JobDetail, Page, WhyAnswer
from lutfarm.server.api.paging import CursorQuery, LimitQuery, after_of, page
from lutfarm.server.roles import API
from lutfarm.server.served import ServedDep
from lutfarm.store.interface import job_called

router = APIRouter(prefix=f"{API}/jobs", tags=["jobs"])
JOB_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
JobName = Annotated[str, Path(pattern=JOB_PATTERN, description="its id, the start of it, or its name")]


@router.get("")
def jobs(served: ServedDep, limit: LimitQuery = 100, cursor: CursorQuery = None) -> Page[JobAnswer]:
    """All jobs, the newest first."""
    return page(
        sorted(served.store.jobs(), key=lambda found: (-found[0].created_s, found[0].id)),
        lambda found: (-found[0].created_s, found[0].id),
        lambda found: JobAnswer.of(*found),
        limit=limit,
        after=after_of(cursor, (float, str)),
    )


@router.get("/{job_id}")
def job(served: ServedDep, job_id: JobName) -> JobDetail:
    """One job, with what it asks for."""
    found, counts = job_called(served.store, job_id)
    return JobDetail(**dict(JobAnswer.of(found, counts)), spec=json.loads(found.spec_json), zeros=found.zeros)


@router.get("/{job_id}/why")
def why(served: ServedDep, job_id: JobName) -> WhyAnswer:
    """Why a job is where it is: each device's state, what it waits for and what comes next; what is done, failed, left."""
    found, rows = why_job(served.store, job_id, time.time())
    return WhyAnswer(job=found.id, state=found.state, reason=found.reason, devices=rows)
