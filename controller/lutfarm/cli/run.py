"""`lutfarm run` and `lutfarm plan`."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from lutfarm.cli import exit_codes
from lutfarm.cli.ending import again, judged_job, report
from lutfarm.cli.output import HomeOption, JsonOption, duration, print_json, print_rows, printable, say
from lutfarm.cli.run_progress import RunDisplay
from lutfarm.cli.signals import deferred
from lutfarm.devices.same_hardware import machines_of
from lutfarm.execution.host_load import LOADED_CORES, watch
from lutfarm.execution.open_farm import open_farm
from lutfarm.execution.past_rounds import known_of
from lutfarm.execution.resume import foresee
from lutfarm.home import find_home
from lutfarm.lut import fed
from lutfarm.scheduling.durations import LOADED_PACE, PLAIN_POOL, PROGRAM, RAY, Parts, Span, work_left
from lutfarm.scheduling.state import FarmState, begin
from lutfarm.scheduling.stop_rule import stop_rule
from lutfarm.store import Store, open_store
from lutfarm.submission import submit
from lutfarm.submission.submission import Submission

LOOK_S = 1.0                                       # at what else computes on this machine
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
    with exit_codes.exits():
        if pool not in ("ray", "local"):
            raise typer.BadParameter(f"{pool!r} is neither ray nor local", param_hint="--pool")
        place = find_home(home)
        with open_store(place.path) as store:
            submitted, sources = submit.submission(job, store, retry_failed=retry_failed)
            with (
                deferred() as check,
                open_farm(submitted, sources, store, place, kind=pool) as farm,
                RunDisplay(submitted.policies, check=check, brief=json) as display,
            ):
                check()
                outcome = farm.run(submitted, display)
            judged = judged_job(store, outcome.job_id, again=again(job, fresh=submitted.spec.fresh))
        report(outcome, judged, runs_now=display.runs, as_json=json)
        if outcome.missing or outcome.left:
            raise typer.Exit(exit_codes.INCOMPLETE)


def plan(
    job: JobArgument,
    home: HomeOption = None,
    pool: Annotated[str, typer.Option(help="ray, or local for debugging.")] = "ray",
    json: JsonOption = False,
) -> None:
    """What would be measured, what is reused, how long it will take.  Changes nothing."""
    with exit_codes.exits():
        if pool not in ("ray", "local"):
            raise typer.BadParameter(f"{pool!r} is neither ray nor local", param_hint="--pool")
        place = find_home(home)
        with open_store(place.path) as store:
            submitted, _ = submit.submission(job, store)
            spec = submitted.spec
            state = begin(submitted.plan, submitted.devices, rounds=spec.sampling.rounds,
                          budget_s=spec.sampling.device_time_budget_s, shares=submitted.shares, rule=stop_rule(spec),
                          expected_ns=submitted.expected_ns)
            known = store.job(spec.id)
            fresh_since_s = (known[0].created_s if known else time.time()) if spec.fresh else None
            rows: list[dict[str, object]] = []
            for unit in submitted.devices:
                state, found = foresee(
                    store, spec.id, state, unit, submitted.policies[unit], fresh_since_s=fresh_since_s
                )
                mine = [key for key, m in state.plan.items() if m.unit == unit]
                rows.append({
                    "device": unit,
                    "measurements": len(mine),
                    "to measure": sum(1 for key in mine if state.wants(key)),
                    "own runs": found.own_runs,
                    "reused runs": found.adopted_runs,
                })
            parts = _parts(submitted, state, store)
        begun = PROGRAM + (RAY if pool == "ray" else PLAIN_POOL)
        wall = parts.whole + begun
        held = parts.opening + parts.probing + parts.rounds + parts.waiting
        if json:
            print_json({
                "job": spec.id, "devices": rows, "wall_s": _span(wall), "held_s": _span(held),
                "parts_s": {"start and end": _span(begun), **{name: _span(getattr(parts, name)) for name in PARTS}},
                "keys": list(state.plan),
            })
            return
        print_rows(list(rows[0]), [list(row.values()) for row in rows], title=f"job {spec.id}")
        for warning in fed.warnings_before(submitted.plan):
            say(printable(warning))
        named = {"start and end": begun, **{name: getattr(parts, name) for name in PARTS}}
        each = ", ".join(f"{name} {_words(span)}" for name, span in named.items() if span.high_s >= 0.5)
        say(f"it will take {_words(wall)}: {each}; {_rounds(state)}")


PARTS = ("opening", "building", "probing", "rounds", "waiting")


def _parts(submitted: Submission, state: FarmState, store: Store) -> Parts:
    """What is left, by what the store knows of the devices, and for this machine by what else runs on it now."""
    known = {
        unit: known_of(store, unit, submitted.plan, submitted.policies[unit], submitted.expected_ns) for unit in submitted.devices
    }
    machines = machines_of(store)                  # units of one machine take turns
    units = {name: replace(unit, machine_id=machines.get(name, "")) for name, unit in state.units.items()}
    transports = {unit: device.transport for unit, device in submitted.devices.items()}
    if "local" in transports.values() and watch(LOOK_S).others >= LOADED_CORES:    # not what was before
        known = {
            unit: replace(one, pace=LOADED_PACE) if transports[unit] == "local" and one.pace is None else one
            for unit, one in known.items()
        }
    return work_left(replace(state, units=units), submitted.policies, known, transports=transports)


def _span(span: Span) -> list[float]:
    return [round(span.low_s, 1), round(span.high_s, 1)]


def _words(span: Span) -> str:
    low, high = duration(span.low_s), duration(span.high_s)
    return low if low == high else f"{low} to {high}"


def _rounds(state: FarmState) -> str:
    if state.rule is None:
        return f"{state.rounds} rounds each"
    return f"until +-{100 * state.rule.relative_half_width:.3g} %, {state.rounds} rounds each at most"
