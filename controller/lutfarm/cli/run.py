"""`lutfarm run` and `lutfarm plan`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from lutfarm import assembly
from lutfarm.cli import exits
from lutfarm.cli.interrupts import deferred
from lutfarm.cli.output import HomeOption, JsonOption, duration, print_json, print_rows, printable, say
from lutfarm.cli.progress import RunDisplay, seconds_left
from lutfarm.farm import Outcome
from lutfarm.forward import way_back
from lutfarm.home import find_home
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
        report(outcome, as_json=json)
        if outcome.missing or outcome.left:
            raise typer.Exit(exits.INCOMPLETE)


def report(outcome: Outcome, *, as_json: bool) -> None:
    """How a job ended."""
    state, plan = outcome.state, outcome.state.plan
    standings = [state.standing(key) for key in plan]
    failed = sorted(key for key in plan if state.standing(key).failed)
    done = sum(state.done(key) for key in plan)
    gave_up = [key for key in plan if not (state.wants(key) or state.done(key) or state.standing(key).failed)]
    summary = {
        "job": outcome.job_id,
        "measurements": len(standings),
        "complete": done,
        "precise": sum(state.done(key) and state.precise(key) for key in plan) if state.rule else None,
        "gave_up": gave_up,
        "failed": failed,
        "missing": list(outcome.missing),
        "runs": sum(s.complete for s in standings),
        "device_time_s": {unit.name: round(unit.spent_s, 1) for unit in outcome.state.units.values()},
        "quarantined": {u.name: u.quarantined for u in outcome.state.units.values() if u.out},
        "left": list(outcome.left),
    }
    if as_json:
        print_json(summary)
        return
    say(f"job {outcome.job_id}: {done} of {len(standings)} measurements done, {_how(outcome, summary)}"
        f"{len(failed)} failed, {_undone(outcome, len(standings) - done - len(failed))}")
    for key in failed[:20]:
        probe = outcome.state.standing(key).probe
        reason = f"{probe.failure.code}: {probe.failure.detail[:200]}" if probe and probe.failure else "in a round"
        say(f"  failed {key}: {reason}")
    if gave_up:
        say(f"{len(gave_up)} broke off too often to be tried again in this run: {', '.join(gave_up[:5])}")
    if any(state.spent(unit) for unit in state.units.values()) and any(state.wants(key) for key in plan):
        say("the device-time budget ended it: raise sampling.device_time_budget_s "
            "and run again, or run the same job again for as long once more")
    for unit in outcome.state.units.values():
        if unit.out:
            say(f"{unit.name} is {unit.out}: {printable(unit.quarantined)}; {way_back(unit.name, unit.out, unit.quarantined)}")
    if outcome.left:
        say(f"{len(outcome.left)} measurements wait for devices that are out of work; see lutfarm job why {outcome.job_id}")
    if len(outcome.missing) < len(plan) or not plan:           # else there is nothing that a table could hold
        say(f"table: lutfarm lut export {outcome.job_id} --out table.json")


def _undone(outcome: Outcome, count: int) -> str:
    """What is neither done nor failed; `missing` are those of them without any run."""
    bare = len(outcome.missing)
    some = f"{count - bare} of them with some runs" if bare < count else "without any run"
    return f"{count} not done" + (f" ({some})" if count else "")


def _how(outcome: Outcome, summary: Mapping[str, object]) -> str:
    rule, rounds = outcome.state.rule, outcome.state.rounds
    if rule is None:
        return f"with all {rounds} rounds, "
    return f"{summary['precise']} of them to +-{100 * rule.relative_half_width:.3g} %, the others with all {rounds} rounds, "


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
        say(f"devices will be held for about {duration(held_s)}; {_rounds(state)}")


def _rounds(state: FarmState) -> str:
    if state.rule is None:
        return f"{state.rounds} rounds each"
    return f"until +-{100 * state.rule.relative_half_width:.3g} %, {state.rounds} rounds each at most"
