"""What the command line prints: data as JSON or a table, and words for times."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

PIPE_COLUMNS = 220  # a pipe has no width; nobody wants a table folded for 80 there

out = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)
err = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else PIPE_COLUMNS)

HomeOption = Annotated[
    Path | None, typer.Option("--home", help="Where state lives; default $LUTFARM_HOME, else the user's data folder.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


def print_json(value: object) -> None:
    """One JSON document on standard output; NaN is refused."""
    print(json.dumps(value, indent=2, allow_nan=False, default=str))


def say(text: str) -> None:
    """One line on standard error, where a terminal's mark-up means nothing."""
    err.print(escape(text), soft_wrap=True)


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "") -> None:
    """A table on standard output.  Cells that are numbers are right-aligned; nothing is mark-up."""
    table = Table(title=escape(title) if title else None, title_justify="left", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float) for row in rows)
        table.add_column(escape(column), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(_cell(cell)) for cell in row))
    out.print(table)


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else printable(str(value))


def printable(text: str) -> str:
    """Without control characters: a name from outside must not steer the terminal."""
    return "".join(c if c.isprintable() or c == " " else "?" for c in text)


def duration(seconds: float) -> str:
    """For example `4 s`, `2 min 05 s`, `3 h 12 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def latency(ns: float | None) -> str:
    """For example `12.3 us`, `4.56 ms`; a dash where there is none."""
    if ns is None:
        return "-"
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= size:
            return f"{ns / size:.4g} {unit}"
    return f"{ns:.4g} ns"


def interval(low_ns: float | None, high_ns: float | None) -> str:
    """For example `4.4 - 4.7 ms`."""
    return "-" if low_ns is None or high_ns is None else f"{latency(low_ns)} - {latency(high_ns)}"


def plain(value: Any) -> Any:
    """Dataclasses and mappings as JSON's own types."""
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        items = cast(Mapping[object, Any], value)
        return {str(key): plain(item) for key, item in items.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast(Sequence[Any], value)]
    return value
