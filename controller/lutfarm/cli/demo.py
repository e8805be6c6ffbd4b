"""`lutfarm demo`: the whole path on this machine, in three minutes."""

from __future__ import annotations

import json as stdlib_json
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import psutil
import typer

from lutfarm.cli import exit_codes
from lutfarm.cli.executor import executor_of
from lutfarm.cli.lut.show import ENTRY_COLUMNS, entry_row
from lutfarm.cli.lut.validate import drawn_words
from lutfarm.cli.lut.validate import words as outcome_words
from lutfarm.cli.terminal.ending import judged_job, report
from lutfarm.cli.terminal.output import (
    Column,
    HomeOption,
    JsonOption,
    duration,
    latency,
    plain,
    print_json,
    print_rows,
    quoted,
    say,
)
from lutfarm.cli.terminal.run_progress import RunDisplay
from lutfarm.cli.terminal.say_table import say_verdict
from lutfarm.cli.terminal.signals import deferred
from lutfarm.demo.steps import demo_spec, draw_networks, paced, register_this_machine, write_results
from lutfarm.demo.time_budget import CALIBRATE, FEWEST, NETWORKS, Clock
from lutfarm.execution.host_load import watch
from lutfarm.execution.open_farm import open_farm
from lutfarm.execution.run_job import Farm
from lutfarm.home import Home, find_home
from lutfarm.lut import LatencyTable
from lutfarm.lut.table import UNVALIDATED
from lutfarm.lut.verdict import table_verdict
from lutfarm.store import Store, open_store
from lutfarm.submission import submit
from lutfarm_jobs.measurement_key import named

AGAIN = "lutfarm demo --out ANOTHER-FOLDER"


class Stages:
    """How long each stage took, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Generator[None]:
        """Time a block."""
        began_s = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(time.monotonic() - began_s, 2)


def demo(
    out: Annotated[Path, typer.Option(help="Where the results go.")] = Path("demo-out"),
    minutes: Annotated[float, typer.Option(min=0.5, max=600, help="About how long it may take.")] = 3.0,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Measure FBNet's operators on this machine, predict networks, measure those, show the error and calibrate."""
    with exit_codes.exits():
        stages = Stages()
        out.mkdir(parents=True, exist_ok=True)
        place = find_home(home or out / "home")
        with stages.stage("total"), open_store(place.path) as store:
            with stages.stage("register"):
                hello = register_this_machine(store, place)
                say(f"this machine: {hello.cpu_model}, {len(hello.cpus)} cores")
            clock = Clock(psutil.Process().create_time(), minutes, watch())
            if clock.load.loaded:
                say(
                    f"this machine is loaded: {clock.load.describe()}; what that disturbs will be flagged, and less is "
                    f"measured, to end within {duration(60 * minutes)}"
                )
            job_id = _measure(store, place, clock, stages)
            with stages.stage("table and report"):
                table = write_results(store, job_id, out)
        (out / "timings.json").write_text(stdlib_json.dumps(stages.seconds, indent=2) + "\n")
        judged = table_verdict(table, again=AGAIN, target=demo_spec().sampling.target_relative_interval)
        if json:
            validations = plain(table.manifest.validations)
            print_json({"verdict": plain(judged), "job": job_id, "validations": validations, "seconds": stages.seconds})
            return
        say_verdict(judged)
        _show(table)
        say(f"took {duration(stages.seconds['total'])}; open {quoted(str(out / 'report.html'))} in a browser")


def _measure(store: Store, place: Home, clock: Clock, stages: Stages) -> str:
    submitted, sources = submit.submit(demo_spec(), Path.cwd(), store)
    with ExitStack() as stack:
        check = stack.enter_context(deferred())
        with stages.stage("ray start"):
            chosen = executor_of(None)
            farm = stack.enter_context(open_farm(submitted, store, place, kind=chosen.kind, at_once=True))
        with stages.stage("measure"), RunDisplay(check=check, note=chosen.why) as display:
            check()
            outcome = farm.run(replace(submitted, until_s=clock.operators_until_s(time.time())), sources, display)
        judged = judged_job(store, outcome.job_id, again=AGAIN)
        report(outcome, judged, runs_now=display.runs, as_json=False, opening=False)
        with stages.stage("validate"):
            _validate(farm, store, outcome.job_id, paced(clock, outcome.units.values()), check)
    return outcome.job_id


def _validate(farm: Farm, store: Store, job_id: str, clock: Clock, check: Callable[[], None]) -> None:
    """Measure networks that the table has never seen, as many as there is time for, on the farm that is there."""
    drawn = draw_networks(store, job_id, clock)
    if drawn.fewer and drawn.networks >= FEWEST:
        say(
            f"there is time for {drawn.networks} of {NETWORKS} networks to validate with, "
            f"and for {drawn.calibrate} of {CALIBRATE} to calibrate on"
        )
    spec = drawn.spec
    if spec is None:
        say(f"not validated: {drawn.why_not}")
        return
    if store.job(spec.id) is None:
        say(drawn_words(drawn.networks + drawn.calibrate, spec.id))
    submitted, sources = submit.submit(spec, Path.cwd(), store)
    with RunDisplay(check=check) as display:
        outcome = farm.run(replace(submitted, until_s=clock.closing_s), sources, display)
    job = outcome.job
    if job.time_up and any(job.wants(key) for key in job.plan):
        whole = sum(job.done(key) for key in job.plan)
        say(f"the time was up: {whole} of {len(job.plan)} networks have all {job.rounds} rounds")


def _show(table: LatencyTable) -> None:
    """What stands out."""
    validations = table.manifest.validations
    operators = [e for e in table.entries if e.kind == "measured" and named(e.workload, "operator")]
    ranked = sorted(operators, key=lambda entry: entry.estimate or 0.0)
    print_rows(ENTRY_COLUMNS, [entry_row(entry) for entry in ranked[:5]], title="fastest")
    print_rows(ENTRY_COLUMNS, [entry_row(entry) for entry in ranked[-5:]], title="slowest")
    for validation in validations:
        print_rows(
            [
                Column("network", "key"),
                *("measured", "predicted", "error", "calibrated", "then"),
                Column("device", "shared"),
                Column("backend", "shared"),
            ],
            [
                [
                    n.arch,
                    latency(n.measured),
                    latency(n.predicted),
                    _error(n.predicted, n.measured),
                    latency(n.calibrated),
                    _error(n.calibrated, n.measured),
                    validation.device,
                    validation.backend,
                ]
                for n in validation.used
            ],
            title="predicted from the table, then measured",
        )
        for line in outcome_words(validation):
            say(line)
    for place in table.places:
        refused = [one.describe() for one in table.manifest.refusals if one.place == place]
        refused += [one.describe() for one in table.manifest.uncalibrated if one.place == place]
        if refused or place not in {validation.place for validation in validations}:
            say(f"{' with '.join(place)}: {'; '.join(refused) or UNVALIDATED}")


def _error(predicted_ns: float | None, measured_ns: float | None) -> str:
    return f"{100 * (predicted_ns / measured_ns - 1):+.1f} %" if predicted_ns and measured_ns else "-"
