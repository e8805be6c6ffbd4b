"""`lutfarm run` and `lutfarm plan`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from lutfarm import assembly
from lutfarm.cli import exits
from lutfarm.cli.ending import again, judged_job, report
from lutfarm.cli.interrupts import deferred
from lutfarm.cli.output import HomeOption, JsonOption, duration, print_json, print_rows, printable, say
from lutfarm.cli.progress import RunDisplay, seconds_left
from lutfarm.home import find_home
from lutfarm.lut import fed
from lutfarm.reuse import foresee
from lutfarm.state import FarmState, begin
from lutfarm.stopping import stop_rule
from lutfarm.store import open_store

JobArgument = Annotated[Path, typer.Argument(metavar="JOB", help="The job's YAML file.")]


def run(
    job: JobArgument,
    home: HomeOption = None,
    pool: Annotated[str, typer.Option(help="ray, or local for debugging.")] = "ray",
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Measure again what is stored as failed.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Measure what the job asks for and the store does not have yet."""
    with exits.exits():
        if pool not in ("ray", "local"):
            raise typer.BadParameter(f"{pool!r} is neither ray nor local", param_hint="--pool")
        place = find_home(home)
        with open_store(place.path) as store:
            submitted, sources = assembly.submission(job, store, retry_failed=retry_failed)
            with (
                deferred() as check,
                assembly.farm(submitted, sources, store, place, kind=pool) as farm,
                RunDisplay(submitted.terms, check=check, quiet=json) as display,
            ):
                check()
                outcome = farm.run(submitted, display)
            judged = judged_job(store, outcome.job_id, again=again(job, fresh=submitted.spec.fresh))
        report(outcome, judged, as_json=json)
        if outcome.missing or outcome.left:
            raise typer.Exit(exits.INCOMPLETE)


def plan(job: JobArgument, home: HomeOption = None, json: JsonOption = False) -> None:
    """What would be measured, what is reused, how long the devices will be held.  Changes nothing."""
    with exits.exits():
        place = find_home(home)
        with open_store(place.path) as store:
            submitted, _ = assembly.submission(job, store)
            spec = submitted.spec
            state = begin(submitted.plan, submitted.devices, rounds=spec.sampling.rounds,
                          budget_s=spec.sampling.device_time_budget_s, shares=submitted.shares, rule=stop_rule(spec))
            known = store.job(spec.id)
            fresh_since_s = (known[0].created_s if known else time.time()) if spec.fresh else None
            rows: list[dict[str, object]] = []
            for unit in submitted.devices:
                state, found = foresee(
                    store, spec.id, state, unit, submitted.terms[unit], fresh_since_s=fresh_since_s
                )
                mine = [key for key, m in state.plan.items() if m.unit == unit]
                rows.append({
                    "device": unit,
                    "measurements": len(mine),
                    "to measure": sum(1 for key in mine if state.wants(key)),
                    "own runs": found.own_runs,
                    "reused runs": found.adopted_runs,
                })
            held_s = seconds_left(state, submitted.terms)
        if json:
            print_json({"job": spec.id, "devices": rows, "held_s": round(held_s, 1), "keys": list(state.plan)})
            return
        print_rows(list(rows[0]), [list(row.values()) for row in rows], title=f"job {spec.id}")
        for warning in fed.warnings_before(submitted.plan):
            say(printable(warning))
        say(f"devices will be held for about {duration(held_s)}; {_rounds(state)}")


def _rounds(state: FarmState) -> str:
    if state.rule is None:
        return f"{state.rounds} rounds each"
    return f"until +-{100 * state.rule.relative_half_width:.3g} %, {state.rounds} rounds each at most"
