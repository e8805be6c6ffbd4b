"""`lutfarm demo`: the whole path on this machine, in three minutes."""

from __future__ import annotations

import json as stdlib_json
import os
import platform
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Annotated

import psutil
import typer

from lutfarm.cli import exit_codes
from lutfarm.cli.ending import judged_job, report
from lutfarm.cli.lut import ENTRY_COLUMNS, entry_row
from lutfarm.cli.lut_validate import drawn_words
from lutfarm.cli.lut_validate import words as outcome_words
from lutfarm.cli.measure import executor_kind
from lutfarm.cli.output import HomeOption, JsonOption, duration, latency, plain, print_json, print_rows, say
from lutfarm.cli.run_progress import RunDisplay
from lutfarm.cli.signals import deferred
from lutfarm.demo.clock import CALIBRATE, FEWEST, NETWORKS, PASSES, Clock
from lutfarm.devices.greeting import greet
from lutfarm.execution.host_load import watch
from lutfarm.execution.open_farm import open_farm
from lutfarm.execution.run_job import Farm
from lutfarm.execution.task_builder import TaskBuilder
from lutfarm.home import Home, find_home
from lutfarm.lut import LatencyTable, save
from lutfarm.lut.table import UNVALIDATED
from lutfarm.lut.verdict import table_verdict
from lutfarm.results.job_table import table_of
from lutfarm.results.validate_job import TableToValidate, validation_spec
from lutfarm.results.validated_table import validated_table
from lutfarm.store import Store, open_store
from lutfarm.submission import submit
from lutfarm.validation import studies_of
from lutfarm_agents.device import Device
from lutfarm_jobs import spaces
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.measurement_key import named
from lutfarm_jobs.spec import JobSpec, parse_job
from lutfarm_jobs.yaml_reader import parse_yaml

DEVICE = "this-machine"
SPACE = "fbnet-224"
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
                _register(store, place)
            clock = Clock(psutil.Process().create_time(), minutes, watch())
            if clock.load.loaded:
                say(
                    f"this machine is loaded: {clock.load.describe()}; what that disturbs will be flagged, and less is "
                    f"measured, to end within {duration(60 * minutes)}"
                )
            job_id = _measure(store, place, clock, stages)
            with stages.stage("table and report"):
                table = results(store, job_id, out)
        (out / "timings.json").write_text(stdlib_json.dumps(stages.seconds, indent=2) + "\n")
        judged = table_verdict(table, again=AGAIN, target=demo_spec().sampling.target_relative_interval)
        if json:
            validations = plain(table.manifest.validations)
            print_json({"verdict": plain(judged), "job": job_id, "validations": validations, "seconds": stages.seconds})
            return
        say(judged.sentence)
        _show(table)
        say(f"took {duration(stages.seconds['total'])}; open {out / 'report.html'} in a browser")


def demo_spec() -> JobSpec:
    """The demonstration's job."""
    text = resources.files("lutfarm.demo").joinpath("demo.yaml").read_text(encoding="utf-8")
    return parse_job(parse_yaml(text, source="demo.yaml"), source="demo.yaml")


def _register(store: Store, place: Home) -> None:
    device = Device(DEVICE, f"generic-linux-{platform.machine()}", "local", {})
    hello = greet(device, place)
    store.put_device(device)
    store.put_hello(DEVICE, hello, time.time())
    say(f"this machine: {hello.cpu_model}, {len(hello.cpus)} cores")


def _measure(store: Store, place: Home, clock: Clock, stages: Stages) -> str:
    submitted, sources = submit.submit(demo_spec(), Path.cwd(), store)
    with ExitStack() as stack:
        check = stack.enter_context(deferred())
        with stages.stage("ray start"):
            farm = stack.enter_context(open_farm(submitted, sources, store, place, kind=executor_kind(None)))
        with stages.stage("measure"), RunDisplay(submitted.policies, check=check) as display:
            check()
            outcome = farm.run(replace(submitted, until_s=clock.operators_until_s(time.time())), display)
        judged = judged_job(store, outcome.job_id, again=AGAIN)
        report(outcome, judged, runs_now=display.runs, as_json=False, opening=False)
        with stages.stage("validate"):
            _validate(farm, store, place, outcome.job_id, clock, check)
    return outcome.job_id


def _validate(farm: Farm, store: Store, place: Home, job_id: str, clock: Clock, check: Callable[[], None]) -> None:
    """Measure networks that the table has never seen, as many as there is time for, on the farm that is there."""
    found = store.job(job_id)
    if found is None:
        raise SpecError(f"job {job_id} is not stored")
    networks, calibrate = _networks(store, job_id, clock)
    if networks < FEWEST:
        say("not validated: there is no time left for whole networks; give --minutes more")
        return
    if calibrate < CALIBRATE:
        say(
            f"there is time for {networks} of {NETWORKS} networks to validate with, and for {calibrate} of {CALIBRATE} "
            "to calibrate on"
        )
    asked = TableToValidate(found[0], table_of(store, job_id), spaces.load(SPACE))
    try:
        spec = validation_spec(store, asked, networks=networks, calibrate=calibrate)
    except SpecError as error:  # too little time for every operator that a network needs
        say(f"not validated: {error.detail}; give --minutes more")
        return
    if store.job(spec.id) is None:
        say(drawn_words(networks + calibrate, spec.id))
    spec = spec.model_copy(update={"sampling": spec.sampling.model_copy(update={"passes": PASSES})})
    submitted, sources = submit.submit(spec, Path.cwd(), store)
    with RunDisplay(submitted.policies, check=check) as display:
        farm = replace(farm, task_builder=TaskBuilder(place.models, sources))
        outcome = farm.run(replace(submitted, until_s=clock.closing_s), display)
    state = outcome.state
    if state.time_up and any(state.wants(key) for key in state.plan):
        whole = sum(state.done(key) for key in state.plan)
        say(f"the time was up: {whole} of {len(state.plan)} networks have all {state.rounds} rounds")


def _networks(store: Store, job_id: str, clock: Clock) -> tuple[int, int]:
    """As many as there is time for; as many as before, where some are stored."""
    known = studies_of(store, job_id)
    if known:
        return known[-1].study.networks, known[-1].study.calibrate
    now = replace(clock, load=replace(clock.load, queue=os.getloadavg()[0]))
    return now.networks(time.time())


def results(store: Store, job_id: str, out: Path) -> LatencyTable:
    """Write the table in three formats, its validation and the report."""
    table = validated_table(store, job_id)
    for suffix in ("json", "csv", "parquet"):
        save(table, out / f"lut.{suffix}")
    (out / "validation.json").write_text(stdlib_json.dumps(plain(table.manifest.validations), indent=2) + "\n")
    from lutfarm.report import render_report  # matplotlib, which `demo --help` need not wait for

    render_report(table, out=out / "report.html", title=f"{SPACE} on {DEVICE}")
    return table


def _show(table: LatencyTable) -> None:
    """What stands out."""
    validations = table.manifest.validations
    operators = [e for e in table.entries if e.kind == "measured" and named(e.workload_key, "operator")]
    ranked = sorted(operators, key=lambda entry: entry.estimate_ns or 0.0)
    print_rows(ENTRY_COLUMNS, [entry_row(entry) for entry in ranked[:5]], title="fastest")
    print_rows(ENTRY_COLUMNS, [entry_row(entry) for entry in ranked[-5:]], title="slowest")
    for validation in validations:
        print_rows(
            ["network", "measured", "predicted", "error", "calibrated", "error "],
            [
                [
                    n.arch[:60],
                    latency(n.measured_ns),
                    latency(n.predicted_ns),
                    _error(n.predicted_ns, n.measured_ns),
                    latency(n.calibrated_ns),
                    _error(n.calibrated_ns, n.measured_ns),
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
