"""`lutfarm job watch|cancel`, of a served farm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lutfarm.cli import exit_codes
from lutfarm.cli.terminal.output import JsonOption, print_json, printable, say
from lutfarm_jobs.errors import class_of, from_wire

if TYPE_CHECKING:
    from lutfarm.api.answers import JobDetail, JobStanding
    from lutfarm.client.remote_farm import RemoteFarm

JobName = Annotated[str, typer.Argument(metavar="JOB", help="Its id, the start of it, or its name.")]


def watch(job_id: JobName, json: JsonOption = False) -> None:
    """Follow a job of a served farm to its end.  Exit 1 where something is missing then.  Ctrl-C leaves the job alone."""
    with exit_codes.exits():
        from lutfarm.cli.which_farm import served_farm

        with served_farm() as farm:
            found = farm.job(job_id).id
            with exit_codes.exits(left_alone(found)):
                require_complete(follow(farm, found), as_json=json)


def left_alone(job_id: str) -> str:
    """What to say where somebody no longer follows a job."""
    return (
        f"no longer followed; the farm goes on with {job_id}: lutfarm job watch {job_id} follows it, "
        f"lutfarm job cancel {job_id} ends it"
    )


def follow(farm: RemoteFarm, job_id: str) -> JobDetail:
    """Say what changes until it is over; how it ended."""
    for now in farm.follow(job_id):
        say(printable(standing_words(now)))
    return farm.job(job_id)


def followed(farm: RemoteFarm, job_id: str, *, broken_off: int) -> JobDetail:
    """Follow a job to where what it came to can be asked for, for the command that submitted it.

    `broken_off`: the exit code where somebody cancelled it.  Raises the FarmError that ended it, Exit where it broke off.
    """
    with exit_codes.exits(f"{left_alone(job_id)}, and the same command goes on following"):
        ended = follow(farm, job_id)
        if ended.reason:
            say(printable(f"{job_id}: {ended.state}: {ended.reason}"))
        if ended.state == "cancelled":
            say("the same command goes on with it")
            raise typer.Exit(broken_off)
        if ended.state == "failed":
            code, _, detail = ended.reason.partition(": ")
            if class_of(code) is None:  # its devices are gone for good, and not an error of its own
                raise typer.Exit(exit_codes.DEVICE_TROUBLE)
            raise from_wire(code, detail)
        return ended


def standing_words(now: JobStanding) -> str:
    """How far a job is, in a line."""
    counts = now.counts
    reused = f" ({counts.reused_runs} reused)" if counts.reused_runs else ""
    failed = f", {counts.failures} failed" if counts.failures else ""
    waits = f"; waits: {now.queue.waiting}" if now.queue and now.queue.waiting else ""
    return f"{now.id}: {now.state}, {counts.runs} runs{reused} of {counts.measurements} measurements{failed}{waits}"


def require_complete(ended: JobDetail, *, as_json: bool) -> None:
    """Say how a job ended.  Raises Exit where it is not complete."""
    if as_json:
        print_json(ended.model_dump(mode="json"))
    elif ended.reason:
        say(printable(f"{ended.id}: {ended.reason}"))
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
