"""What the command line prints: data as JSON or a table, and words for times."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.text import Text

from lutfarm.cli.terminal.layout import Column, LineKind, pipe_lines, terminal_lines
from lutfarm.cli.terminal.shortened import GAP
from lutfarm.cli.terminal.wrapped import wrapped

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

STYLES: Mapping[LineKind, str] = {"heading": "", "header": "bold", "row": "", "below": ""}

HomeOption = Annotated[
    Path | None, typer.Option("--home", help="Where state lives; default $LUTFARM_HOME, else the user's data folder.")
]
JobArgument = Annotated[Path, typer.Argument(metavar="JOB", help="The job's YAML file.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


def print_json(value: object) -> None:
    """One JSON document on standard output; NaN is refused."""
    print(json.dumps(value, indent=2, allow_nan=False, default=str))


def say(text: str) -> None:
    """Words on standard error, where a terminal's mark-up means nothing: one line, on a terminal as many as it takes."""
    for line in wrapped(text, err.width) if sys.stderr.isatty() else [text]:
        err.print(Text(line), soft_wrap=True)


def print_rows(columns: Sequence[str | Column], rows: Sequence[Sequence[object]], *, title: str = "") -> None:
    """A table on standard output: on a terminal laid out for its width, else a line a row, cells separated by tabs.

    Nothing is mark-up.
    """
    on_terminal = sys.stdout.isatty()
    cells = [[_cell(value, whole=not on_terminal) for value in row] for row in rows]
    laid_out: list[Column] = []
    for at, column in enumerate(columns):
        column = column if isinstance(column, Column) else Column(column)
        numeric = bool(rows) and all(isinstance(row[at], int | float) for row in rows)
        laid_out.append(replace(column, right=column.right or numeric))
    if title:
        out.print(Text(printable(title)), soft_wrap=True)
    if not on_terminal:
        print("\n".join(pipe_lines(laid_out, cells)))
        return
    gap = GAP if sys.stdout.encoding.lower().startswith("utf") else "~"
    for line in terminal_lines(laid_out, cells, out.width):
        out.print(Text(line.text.replace(GAP, gap), style=STYLES[line.kind]), soft_wrap=True)


def _cell(value: object, *, whole: bool) -> str:
    if isinstance(value, float):
        return repr(value) if whole else number(value)
    return printable(str(value))


def number(value: float) -> str:
    """With five digits at least, and no exponent that a person has to read."""
    return f"{value:.0f}" if abs(value) >= 10_000 else f"{value:.5g}"


def printable(text: str) -> str:
    """Without control characters: a name from outside must not steer the terminal."""
    return "".join(c if c.isprintable() or c == " " else "?" for c in text)


def quoted(path: str) -> str:
    """A path as a shell takes it, on one line: for copying."""
    return shlex.quote(printable(path))


def duration(seconds: float) -> str:
    """For example `4 s`, `2 min 05 s`, `3 h 12 min`, `12 d 3 h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def latency(ns: float | None) -> str:
    """For example `12.3 us`, `4.56 ms`; a dash where there is none."""
    if ns is None:
        return "-"
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= size:
            return f"{ns / size:.4g} {unit}"
    return f"{ns:.4g} ns"


def interval(low_ns: float | None, high_ns: float | None) -> str:
    """For example `4.4 - 4.7 ms`, `990 us - 1.02 ms`."""
    if low_ns is None or high_ns is None:
        return "-"
    low, high = latency(low_ns), latency(high_ns)
    number, _, unit = low.partition(" ")
    return f"{number} - {high}" if high.endswith(f" {unit}") else f"{low} - {high}"


def give_or_take(ns: float | None, low_ns: float | None, high_ns: float | None) -> str:
    """A latency and half its interval as a share of it, for example `4.56 ms +-2.1 %`."""
    if ns is None or not ns or low_ns is None or high_ns is None:
        return latency(ns)
    return f"{latency(ns)} +-{50 * (high_ns - low_ns) / ns:.2g} %"


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
