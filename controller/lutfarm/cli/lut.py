"""`lutfarm lut export|show|predict`; validate.py and diff.py have the others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lutfarm.cli import exits
from lutfarm.cli.diff import diff_tables
from lutfarm.cli.output import HomeOption, JsonOption, interval, latency, plain, print_json, print_rows, say
from lutfarm.cli.validate import validate
from lutfarm.home import find_home
from lutfarm.lut import LatencyTable, load, save
from lutfarm.lut.entry import Entry
from lutfarm.store import open_store
from lutfarm.studies import validated_table
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.expand import load_space

app = typer.Typer(no_args_is_help=True, help="Latency lookup tables.")
app.command()(validate)
app.command("diff")(diff_tables)

TableArgument = Annotated[Path, typer.Argument(metavar="TABLE", help="A table file: .json, .csv or .parquet.")]
UnitOption = Annotated[str | None, typer.Option("--device", help="Only this device's entries.")]
BackendOption = Annotated[str | None, typer.Option("--backend", help="Only this backend's, as `show` prints it.")]


@app.command()
def export(
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="Its id, the start of it, or its name.")],
    out: Annotated[list[Path], typer.Option("--out", help="FILE.json, .csv, .parquet, or .yaml; may be repeated.")],
    style: Annotated[str, typer.Option("--yaml-style", help="ofa or proxylessnas, for .yaml.")] = "ofa",
    device: UnitOption = None,
    backend: BackendOption = None,
    pool: Annotated[str | None, typer.Option(
        "--pool", metavar="PROFILE", help="Add entries for all devices of this profile together, as device pool:PROFILE."
    )] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Build the table of a job from its stored runs, and write it."""
    with exits.exits():
        with open_store(find_home(home).path) as store:
            table = validated_table(store, job_id, pool=pool, unit=device, backend=backend)
        for path in out:
            save(table, path, yaml_style=style)
        if json:
            print_json({"entries": len(table.entries), "files": [str(path) for path in out]})
        else:
            say(f"{table.describe()}; written: {', '.join(str(path) for path in out)}")


def select(table: LatencyTable, unit: str | None, backend: str | None) -> LatencyTable:
    """The part of a table for one device and backend, where they are given."""
    return table.select(unit=unit, backend=backend) if unit or backend else table


@app.command()
def show(
    table_file: TableArgument,
    device: UnitOption = None,
    backend: BackendOption = None,
    json: JsonOption = False,
) -> None:
    """The entries of a table."""
    with exits.exits():
        table = select(load(table_file), device, backend)
        if json:
            print_json({"manifest": plain(table.manifest), "entries": [plain(entry) for entry in table.entries]})
            return
        print_rows(ENTRY_COLUMNS, [entry_row(entry) for entry in table.entries])
        say(table.describe())


ENTRY_COLUMNS = ("workload", "device", "backend", "latency", "interval", "processes", "flags")


def entry_row(entry: Entry) -> list[object]:
    """One entry as it is printed."""
    if entry.kind == "failed":
        shown = f"failed: {entry.failure_code}"
    elif entry.kind == "zero":
        shown = "0 (nothing by structure)"
    else:
        shown = latency(entry.estimate_ns)
    name = entry.workload_key
    return [name if name.startswith(("sandwich:", "stubs:")) else name.partition(":")[2], entry.unit, entry.backend_key, shown,
            interval(entry.low_ns, entry.high_ns) if entry.kind == "measured" else "-",
            entry.processes, " ".join(entry.flags)]


@app.command()
def predict(
    table_file: TableArgument,
    space: Annotated[str, typer.Option(help="A space's name, or the path of its file.")],
    arch: Annotated[list[str] | None, typer.Argument(help="Architectures in the space's encoding.")] = None,
    random: Annotated[int, typer.Option(min=0, help="Predict so many random architectures too.")] = 0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    allow_partial: Annotated[bool, typer.Option("--allow-partial", help="Sum what there is; say what is missing.")] = False,
    device: UnitOption = None,
    backend: BackendOption = None,
    json: JsonOption = False,
) -> None:
    """Predict whole networks from a table."""
    with exits.exits():
        found = load_space(space, Path.cwd())
        archs = [found.parse(text) for text in arch or []]
        archs += found.random(seed, random) if random else ()
        if not archs:
            raise SpecError(f"give an architecture of {found.name}, or --random N")
        table = select(load(table_file), device, backend)
        rows = [(found.format(a), table.predict(found, a, allow_partial=allow_partial)) for a in archs]
        if json:
            print_json([{"arch": text} | plain(prediction) for text, prediction in rows])
            return
        print_rows(
            ["architecture", "latency", "interval", "coverage", "missing"],
            [[text, latency(p.latency_ns), interval(p.low_ns, p.high_ns), f"{100 * p.coverage:.0f} %",
              " ".join(p.missing)] for text, p in rows],
        )
        say(table.describe())
