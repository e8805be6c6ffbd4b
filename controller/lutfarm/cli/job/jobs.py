"""`lutfarm job list|show|remove`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from lutfarm.cli import exit_codes
from lutfarm.cli.terminal.output import Column, HomeOption, JsonOption, plain, print_json, print_rows, printable, say
from lutfarm.cli.terminal.which_job import job_meant
from lutfarm.cli.which_farm import served_farm, server, store_of
from lutfarm.home import find_home
from lutfarm.store import open_store
from lutfarm.store.interface import also_called, job_called
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.measurement_key import short_name

STATUSES = ("complete", "truncated", "failed")


def list_(home: HomeOption = None, json: JsonOption = False) -> None:
    """All jobs, newest first."""
    with exit_codes.exits(), store_of(home, to_read=True) as store:
        jobs = store.jobs()
        if json:
            print_json([plain(job) | {"counts": plain(counts)} for job, counts in jobs])
        elif not jobs:
            say("no job has run yet; see lutfarm run --help")
        else:
            print_rows(
                ["job", "begun", "state", "runs", "reused", "failures", "measurements"],
                [
                    [
                        job.id,
                        datetime.fromtimestamp(job.created_s, UTC).strftime("%Y-%m-%d %H:%M UTC"),
                        job.state,
                        c.runs,
                        c.reused_runs,
                        c.failures,
                        c.measurements,
                    ]
                    for job, c in jobs
                ],
            )


def show(
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="Its id, the start of it, or its name.")],
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """One job: how many runs each measurement has."""
    with exit_codes.exits(), store_of(home, to_read=True) as store:
        job, counts = job_meant(store, job_id)
        by_key = store.round_counts(job.id)
        if json:
            print_json(
                plain(job) | {"counts": plain(counts), "runs": {m.key: by_key.get(m.key, {}) for m in store.measurements(job.id)}}
            )
            return
        say(f"job {job.id}: {job.state} {job.reason}".rstrip())
        print_rows(
            [
                Column("workload", "key"),
                Column("device", "shared"),
                Column("backend", "shared"),
                Column("conditions", "shared"),
                Column("path", "key"),
                *STATUSES,
            ],
            [
                [
                    short_name(m.workload.key),
                    m.device,
                    m.backend.key,
                    m.conditions.key,
                    m.workload.path,
                    *(by_key.get(m.key, {}).get(s, 0) for s in STATUSES),
                ]
                for m in store.measurements(job.id)
            ],
        )


def remove(
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="Its whole id, or its name where no other job has it.")],
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Take a job out of the store, with the runs and probes that no other job reads."""
    with exit_codes.exits("interrupted; all of the job is there still"):
        removed, gone = _removed(job_id, home)
        if json:
            print_json({"job": removed, "removed": gone})
            return
        kept = f"; {gone['runs_kept']} runs that other jobs read stay" if gone["runs_kept"] else ""
        say(
            printable(
                f"removed {removed}: {gone['measurements']} measurements of its plan, {gone['runs']} runs, "
                f"{gone['probes']} probes{kept}"
            )
        )


def _removed(job_id: str, home: Path | None) -> tuple[str, Any]:
    """The job's id, and what went with it."""
    if server():
        with served_farm() as farm:
            meant = farm.job(job_id)
            named = [each.id for each in farm.jobs() if each.name == job_id]
            _require_whole(job_id, meant.id, meant.name, others=len(named) - 1)
            return meant.id, farm.remove(meant.id).model_dump()
    with open_store(find_home(home).path) as store:
        job, _ = job_called(store, job_id)
        _require_whole(job_id, job.id, job.name, others=len(also_called(store, job_id, job)))
        return job.id, plain(store.remove_job(job.id, time.time()))


def _require_whole(given: str, job_id: str, name: str, *, others: int) -> None:
    """Raises SpecError where what was typed could mean another job too."""
    if others > 0 and given != job_id:
        raise SpecError(f"{1 + others} jobs are called {given}: remove one by its id; see lutfarm job list")
    if given not in (job_id, name):
        raise SpecError(f"{given!r} is only the start of {job_id}; what is removed is named in full")
