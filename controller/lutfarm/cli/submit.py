"""`lutfarm submit`."""

from __future__ import annotations

import math
import time
from typing import Annotated

import typer

from lutfarm.cli import exit_codes
from lutfarm.cli.terminal.output import JobArgument, JsonOption, print_json, printable, say
from lutfarm_jobs.errors import SpecError


def submit(
    job: JobArgument,
    priority: Annotated[int, typer.Option("--priority", help="Higher is sooner; above 0 takes an operator.")] = 0,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Measure again what is stored as failed.")] = False,
    hours: Annotated[
        float | None, typer.Option("--within-hours", help="The job ends then, done or not: what runs is cancelled.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="And follow it to its end, as `lutfarm job watch` does.")] = False,
    json: JsonOption = False,
) -> None:
    """Give a job, with the model files that it names, to the served farm that --server or LUTFARM_SERVER names."""
    with exit_codes.exits("interrupted; lutfarm job list says whether the farm has it"):
        from lutfarm.cli.job.watch import follow, left_alone, require_complete
        from lutfarm.cli.which_farm import served_farm

        until_s = None if hours is None else time.time() + _hours(hours) * 3600.0
        with served_farm() as farm:
            found = farm.submit(job, priority=priority, retry_failed=retry_failed, until_s=until_s)
            if json and not watch:
                print_json(found.model_dump(mode="json"))
            else:
                say(printable(f"{found.id}: {found.state}; to follow it: lutfarm job watch {found.id}"))
            if watch:
                with exit_codes.exits(left_alone(found.id)):
                    require_complete(follow(farm, found.id), as_json=json)


def _hours(given: float) -> float:
    """Raises SpecError."""
    if not 0 < given < math.inf:
        raise SpecError(f"--within-hours {given:g}: a job that ends then measures nothing; give more than 0, or leave it out")
    return given
