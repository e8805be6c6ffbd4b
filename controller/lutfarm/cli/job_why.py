"""`lutfarm job why`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from lutfarm.cli import exit_codes
from lutfarm.cli.output import HomeOption, JsonOption, plain, print_json, print_rows, say
from lutfarm.execution.resume import as_stored
from lutfarm.home import find_home
from lutfarm.monitoring.device_status import rests_until
from lutfarm.monitoring.why import why as explain
from lutfarm.store import open_store
from lutfarm_jobs.errors import SpecError


def why(
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="Its id, the start of it, or its name.")],
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Why a job is where it is: each device's state, what it waits for and what comes next; what is done, failed, left."""
    with exit_codes.exits(), open_store(find_home(home).path, to_read=True) as store:
        found = store.job(job_id)
        if found is None:
            raise SpecError(f"no job is called {job_id[:80]!r}; see lutfarm job list")
        job, now_s = found[0], time.time()
        plan = store.measurements(job.id)
        units = list(dict.fromkeys(m.unit for m in plan))
        holders = {unit: held for unit in units if (held := store.lease_holder(unit, now_s))}
        state = as_stored(store, job, plan)
        rows = explain(
            [store.device_record(unit, now_s) for unit in units],
            plan,
            done={m.key for m in plan if state.done(m.key)},
            failed={m.key for m in plan if state.progress(m.key).failed},
            job_id=job.id,
            holders=holders,
            rests={unit: until_s for unit in units if (until_s := rests_until(store, unit, now_s)) is not None},
        )
        if json:
            print_json({"job": job.id, "state": job.state, "reason": job.reason, "devices": [plain(row) for row in rows]})
            return
        say(f"job {job.id}: {job.state} {job.reason}".rstrip())
        print_rows(
            ["device", "state", "reason", "waits for", "next", "at", "done", "failed", "left"],
            [[r.unit, r.state, r.reason[:300], r.waits_for, r.next, _time(r.next_s), r.done, r.failed, r.left] for r in rows],
        )


def _time(at_s: float | None) -> str:
    return "" if at_s is None else datetime.fromtimestamp(at_s, UTC).strftime("%H:%M:%S UTC")
