"""The runs of a job: what was measured, sample by sample."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from lutfarm.api.answers import Page
from lutfarm.api.root import API
from lutfarm.server.api.jobs import JobName
from lutfarm.server.api.paging import CursorQuery, after_of, cursor_of
from lutfarm.server.served import ServedDep
from lutfarm.store.interface import job_called
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.run import Run

router = APIRouter(prefix=f"{API}/jobs", tags=["runs"])
MOST_RUNS = 200
MOST_SAMPLES = 1_000_000  # of a page, but for its first run: some ten megabytes


@router.get("/{job_id}/runs")
def runs(
    served: ServedDep,
    job_id: JobName,
    *,
    limit: Annotated[int, Query(ge=1, le=MOST_RUNS, description="so many at most; fewer where they have many samples")] = 50,
    cursor: CursorQuery = None,
    samples: Annotated[bool, Query(description="with every slice and its raw samples")] = True,
) -> Page[Run]:
    """The runs of a job with their raw samples, in the order in which the farm stored them."""
    job, _ = job_called(served.store, job_id)
    after = after_of(cursor, (int,))
    found: list[Run] = []
    last, samples_left = 0 if after is None else int(after[0]), MOST_SAMPLES
    if not 0 <= last < 1 << 31:  # what a database numbers
        raise SpecError("the cursor is none of this list; begin without one")
    for number, run in served.store.arrived_runs(job.id, after=last, most=limit + 1, samples=samples):
        samples_left -= sum(len(one.samples_ns) for one in run.slices)
        if found and (len(found) == limit or samples_left < 0):
            return Page(items=found, next=cursor_of((last,)))
        found.append(run)
        last = number
    return Page(items=found)
