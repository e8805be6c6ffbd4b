"""`lutfarm lut show`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from lutfarm.cli import exit_codes
from lutfarm.cli.terminal.output import Column, JsonOption, latency, plain, print_json, print_rows, printable, say
from lutfarm.cli.terminal.say_table import say_table, say_verdict
from lutfarm.cli.terminal.table_options import BackendOption, DeviceOption, TableArgument, select
from lutfarm.lut import LatencyTable, fed, load
from lutfarm.lut.query import QUERIED, columns_named, query
from lutfarm.lut.schema.columns import COLUMNS
from lutfarm.lut.schema.entry import IN_QUANTITY_UNIT, Entry
from lutfarm.lut.verdict import table_verdict
from lutfarm_jobs.measurement_key import bare_name, named

MOST_TOOL_LINES = 5
ENTRY_COLUMNS = (
    Column("workload", "key"),
    Column("device", "shared"),
    Column("backend", "shared"),
    Column("conditions", "shared"),
    Column("latency"),
    Column("interval"),
    Column("rounds"),
    Column("flags", "words"),
)
FILE_COLUMNS = (Column("batch"), Column("takes", "prose"))
KEYS = ("key", "workload", "path")
PROSE = ("takes", "tool_lines", "inputs", "inputs_assumed", "failure_detail")


def show(
    table_file: TableArgument,
    device: DeviceOption = None,
    backend: BackendOption = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            metavar="CONDITION",
            help="Only entries of which it is true: 'latency>1ms', 'interval<2%', flags~contended; several: all of them.",
        ),
    ] = None,
    sort: Annotated[
        list[str] | None,
        typer.Option("--sort", metavar="COLUMN", help="By a column, -COLUMN with the largest first; a second decides ties."),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--columns", metavar="NAMES", help="These, such as workload,latency,p50,p95: those of the .csv, docs/tables.md."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="So many entries at most.")] = None,
    json: JsonOption = False,
) -> None:
    """The entries of a table, and what it is good for."""
    with exit_codes.exits():
        asked, named = query(where=where or (), sort=sort or (), limit=limit), columns_named(columns or ())
        table = select(load(table_file), device, backend)
        entries, judged = asked.of(table.entries), table_verdict(table)
        if json:
            listed = [{name: plain(getattr(entry, name)) for name in named or COLUMNS} for entry in entries]
            print_json({"verdict": plain(judged), "manifest": plain(table.manifest), "entries": listed})
            return
        say_verdict(judged)
        if named:
            print_rows([_column(name) for name in named], [[_value(entry, name) for name in named] for entry in entries])
            units = sorted({entry.quantity_unit for entry in entries})
            figures = [name for name in named if name in IN_QUANTITY_UNIT]
            if units and figures:
                say(f"{', '.join(figures)}: in {' or '.join(units)}")
        else:
            _print(entries)
        if len(entries) < len(table):
            say(f"{len(entries)} of {len(table)} entries")
        _say_more(table)


def _print(entries: Sequence[Entry]) -> None:
    files = any(entry.path for entry in entries)
    print_rows(
        (*ENTRY_COLUMNS, *(FILE_COLUMNS if files else ())),
        [[*entry_row(entry), *(_of_file(entry) if files else ())] for entry in entries],
    )


def _say_more(table: LatencyTable) -> None:
    for warning in fed.warnings(table.entries):
        say(printable(warning))
    for lines in list(dict.fromkeys(entry.tool_lines for entry in table.entries if entry.tool_lines))[:MOST_TOOL_LINES]:
        say(f"a native tool printed what no known version of it prints: {printable(lines)}")
    say_table(table)


def _column(name: str) -> Column:
    """As a table of the terminal has it; the name says the unit."""
    kind = QUERIED[name][0]
    if kind == "text":
        return Column(name, "key" if name in KEYS else "prose" if name in PROSE else "shared")
    return Column(name, "words") if kind == "texts" else Column(name, right=True)


def _value(entry: Entry, name: str) -> Any:
    """Nothing where there is no value, never a number that stands for none."""
    found: Any = getattr(entry, name)
    if QUERIED[name][0] == "texts":
        return " ".join(found)
    return "" if found is None else found


def entry_row(entry: Entry) -> list[object]:
    """One entry as it is printed."""
    if entry.kind == "failed":
        shown = f"failed: {entry.failure_code}"
    elif entry.kind == "zero":
        shown = "0 (nothing by structure)"
    else:
        shown = latency(entry.estimate)
    name = entry.workload_label
    return [
        name if named(name, "sandwich") or named(name, "stubs") else bare_name(name),
        entry.device,
        entry.backend,
        entry.conditions,
        shown,
        "-" if entry.relative_half_width is None else f"+-{100 * entry.relative_half_width:.2g} %",
        entry.rounds,
        " ".join(_flag(entry, flag) for flag in entry.flags),
    ]


def _flag(entry: Entry, flag: str) -> str:
    """With the counts, where only part of a graph was delegated."""
    if flag != "partly_delegated" or entry.nodes_delegated is None:
        return flag
    return f"{flag}({entry.nodes_delegated}/{entry.nodes_total if entry.nodes_total is not None else '?'})"


def _of_file(entry: Entry) -> list[object]:
    """What a model file says of itself; a dash where it doesn't."""
    return [entry.batch_size or "-", entry.takes or "-"]
