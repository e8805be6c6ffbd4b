"""`lutfarm job watch|cancel`, of a served farm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lutfarm.cli import exit_codes
from lutfarm.cli.terminal.output import JsonOption, print_json, printable, say

if TYPE_CHECKING:
    from lutfarm.client.remote_farm import RemoteFarm

JobName = Annotated[str, typer.Argument(metavar="JOB", help="Its id, the start of it, or its name.")]


def watch(job_id: JobName, json: JsonOption = False) -> None:
    """Follow a job of a served farm to its end.  Exit 1 where something is missing then.  Ctrl-C leaves the job alone."""
    with exit_codes.exits("no longer watched; the farm goes on with it"):
        from lutfarm.cli.which_farm import served_farm

        with served_farm() as farm:
            follow(farm, farm.job(job_id).id, as_json=json)


def follow(farm: RemoteFarm, job_id: str, *, as_json: bool) -> None:
    """Say what changes until it is over.  Raises Exit where it is not complete then."""
    for now in farm.follow(job_id):
        counts = now.counts
        waits = f"; waits: {now.queue.waiting}" if now.queue and now.queue.waiting else ""
        failed = f", {counts.failures} failed" if counts.failures else ""
        say(printable(f"{job_id}: {now.state}, {counts.runs} runs of {counts.measurements} measurements{failed}{waits}"))
    ended = farm.job(job_id)
    if as_json:
        print_json(ended.model_dump(mode="json"))
    elif ended.reason:
        say(printable(f"{job_id}: {ended.reason}"))
    if ended.state != "complete":
        raise typer.Exit(exit_codes.INCOMPLETE)


def cancel(
    job_id: JobName,
    why: Annotated[str, typer.Option("--why", help="Shown to everybody who looks at the job.")] = "",
    json: JsonOption = False,
) -> None:
    """End a job of a served farm: what runs for it is cancelled, what was measured stays."""
    with exit_codes.exits():
        from lutfarm.cli.which_farm import served_farm

        with served_farm() as farm:
            found = farm.cancel(farm.job(job_id).id, why)
        if json:
            print_json(found.model_dump(mode="json"))
        else:
            say(printable(f"{found.id} is told to end; lutfarm job watch {found.id} follows it there"))
