"""`lutfarm run`.  What measures, keeps and judges is imported when it runs: a help page needs none of it."""

from __future__ import annotations

from typing import Annotated

import typer

from lutfarm.cli import exit_codes
from lutfarm.cli.executor import ExecutorOption, executor_of
from lutfarm.cli.terminal.output import HomeOption, JobArgument, JsonOption
from lutfarm.cli.which_farm import require_here
from lutfarm.home import find_home


def run(
    job: JobArgument,
    home: HomeOption = None,
    executor: ExecutorOption = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Measure again what is stored as failed.")] = False,
    json: JsonOption = False,
) -> None:
    """Measure what the job asks for and the store does not have yet."""
    with exit_codes.exits():
        require_here("lutfarm submit JOB gives it to the farm")
        from lutfarm.cli.measure import measure
        from lutfarm.cli.terminal.ending import again, judged_job, report
        from lutfarm.store import open_store
        from lutfarm.submission.submit import submit_read
        from lutfarm_jobs.spec import load_job

        chosen, place, spec = executor_of(executor), find_home(home), load_job(job)
        with open_store(place.path, begun=True) as store:
            submitted, sources = submit_read(spec, job, store, retry_failed=retry_failed)
            outcome, runs_now = measure(submitted, sources, store, place, executor=chosen, brief=json)
            judged = judged_job(store, outcome.job_id, again=again(job, fresh=submitted.spec.fresh))
        report(outcome, judged, runs_now=runs_now, as_json=json)
        if outcome.missing or outcome.left:
            raise typer.Exit(exit_codes.INCOMPLETE)
