"""`lutfarm demo`: the whole path on this machine, in three minutes."""

from __future__ import annotations

import json as stdlib_json
import platform
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from lutfarm import assembly
from lutfarm.cli import exits
from lutfarm.cli.lut import ENTRY_COLUMNS, entry_row
from lutfarm.cli.output import HomeOption, duration, latency, plain, print_rows, say
from lutfarm.cli.progress import RunDisplay
from lutfarm.cli.run import report
from lutfarm.greeting import greet
from lutfarm.home import Home, find_home
from lutfarm.lut import save
from lutfarm.report import render_report
from lutfarm.store import Store, open_store
from lutfarm.tables import table_of
from lutfarm.validation import validate_networks
from lutfarm_agents.device import Device
from lutfarm_jobs import spaces
from lutfarm_jobs.spec import JobSpec, parse_job
from lutfarm_jobs.yaml_reader import parse_yaml

DEVICE = "this-machine"
SPACE = "fbnet-224"
BACKEND = "onnxruntime-cpu-t1-fp32"
DEVICE_SHARE = 0.7


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
) -> None:
    """Measure FBNet's operators on this machine, predict 20 networks, measure them, show the error."""
    with exits.exits():
        stages = Stages()
        out.mkdir(parents=True, exist_ok=True)
        place = find_home(home or out / "home")
        with stages.stage("total"), open_store(place.path) as store:
            with stages.stage("register"):
                _register(store, place)
            job_id = _measure(store, place, demo_spec(minutes), stages)
            with stages.stage("table and report"):
                results(store, job_id, out)
        (out / "timings.json").write_text(stdlib_json.dumps(stages.seconds, indent=2) + "\n")
        say(f"took {duration(stages.seconds['total'])}; open {out / 'report.html'} in a browser")


def demo_spec(minutes: float) -> JobSpec:
    """The demonstration's job, its device-time budget fitted into so many minutes."""
    text = resources.files("lutfarm.demo").joinpath("demo.yaml").read_text(encoding="utf-8")
    spec = parse_job(parse_yaml(text, source="demo.yaml"), source="demo.yaml")
    # Starting Ray, building models, the table and the report take the rest.
    budget_s = 60 * minutes * DEVICE_SHARE
    return spec.model_copy(update={
        "sampling": spec.sampling.model_copy(update={"device_time_budget_s": budget_s}),
    })


def _register(store: Store, place: Home) -> None:
    device = Device(DEVICE, f"generic-linux-{platform.machine()}", "local", {})
    hello = greet(device, place)
    store.put_device(device)
    store.put_hello(DEVICE, hello, time.time())
    say(f"this machine: {hello.cpu_model}, {len(hello.cpus)} cores")


def _measure(store: Store, place: Home, spec: JobSpec, stages: Stages) -> str:
    submitted, sources = assembly.submit(spec, Path.cwd(), store)
    with ExitStack() as stack:
        with stages.stage("ray start"):
            farm = stack.enter_context(assembly.farm(submitted, sources, store, place, kind="ray"))
        with stages.stage("measure"), RunDisplay(submitted.terms) as display:
            outcome = farm.run(submitted, display)
    report(outcome, as_json=False)
    return outcome.job_id


def results(store: Store, job_id: str, out: Path) -> None:
    """Write the table in three formats, its validation and the report; print what stands out."""
    table = table_of(store, job_id)
    space = spaces.load(SPACE)
    rows, validation = validate_networks(table, space, backend=BACKEND)
    table = table.with_validation(validation)
    for suffix in ("json", "csv", "parquet"):
        save(table, out / f"lut.{suffix}")
    (out / "validation.json").write_text(stdlib_json.dumps(plain(validation), indent=2) + "\n")
    render_report(table, networks=rows, out=out / "report.html", title=f"{SPACE} on {DEVICE}")
    operators = [e for e in table.entries if e.kind == "measured" and e.workload_key.startswith("operator:")]
    ranked = sorted(operators, key=lambda entry: entry.estimate_ns or 0.0)
    print_rows(ENTRY_COLUMNS, [entry_row(entry) for entry in ranked[:5]], title="fastest")
    print_rows(ENTRY_COLUMNS, [entry_row(entry) for entry in ranked[-5:]], title="slowest")
    print_rows(
        ["network", "predicted", "measured", "error"],
        [[row.name[:60], latency(row.predicted_ns), latency(row.measured_ns),
          f"{100 * (row.predicted_ns / row.measured_ns - 1):+.1f} %"] for row in rows],
        title="predicted from the table, then measured",
    )
    say(f"{validation.n} networks: MAPE {100 * validation.mape:.1f} %, bias {100 * validation.bias:+.1f} %, "
        f"Kendall tau {'-' if validation.kendall_tau is None else format(validation.kendall_tau, '.2f')}")
