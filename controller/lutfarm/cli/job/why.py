"""`lutfarm job why`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from lutfarm.cli import exit_codes
from lutfarm.cli.terminal.output import Column, HomeOption, JsonOption, plain, print_json, print_rows, say
from lutfarm.cli.terminal.which_job import job_meant
from lutfarm.cli.which_farm import store_of
from lutfarm.execution.why_job import why_job


def why(
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="Its id, the start of it, or its name.")],
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Why a job is where it is: each device's state, what it waits for and what comes next; what is done, failed, left."""
    with exit_codes.exits(), store_of(home, to_read=True) as store:
        job, rows = why_job(store, job_meant(store, job_id)[0].id, time.time())
        if json:
            print_json({"job": job.id, "state": job.state, "reason": job.reason, "devices": [plain(row) for row in rows]})
            return
        say(f"job {job.id}: {job.state} {job.reason}".rstrip())
        print_rows(
            [
                *("device", "state", "done", "failed", "left", "at"),
                *(Column(name, "prose") for name in ("waits for", "next", "reason")),
            ],
            [[r.device, r.state, r.done, r.failed, r.left, _time(r.next_s), r.waits_for, r.next, r.reason] for r in rows],
        )


def _time(at_s: float | None) -> str:
    return "" if at_s is None else datetime.fromtimestamp(at_s, UTC).strftime("%H:%M:%S UTC")
