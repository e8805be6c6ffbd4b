"""CSV: for people and spreadsheets.  The first line is `# ` and the header as JSON; then names, then an entry a line.

`pandas.read_csv(path, skiprows=1)` reads it.  A text that a spreadsheet would run as a formula is written behind an
apostrophe, as is one that begins with an apostrophe; an empty cell is no value, an apostrophe alone an empty text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from lutfarm.lut.columns import COLUMNS, Columns, ColumnType
from lutfarm.lut.formats.header import data_of, header_of, table_of, text_of
from lutfarm.lut.table import LatencyTable
from lutfarm_jobs.errors import SpecError

MARK = "'"
NEWLINE = "\r\n"                                   # RFC 4180; and only then is a lone carriage return quoted
# What spreadsheets take for the start of a formula, in full width too, and what makes them skip to one.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", " ", "＝", "＋", "－", "＠", MARK)


def dump(table: LatencyTable) -> bytes:
    """UTF-8 text."""
    out = io.StringIO(newline="")
    out.write(f"# {text_of(header_of(table))}{NEWLINE}")
    writer = csv.writer(out, lineterminator=NEWLINE)
    writer.writerow(COLUMNS)
    for row in table.columns.rows():
        writer.writerow([_cell(row[name], kind) for name, (kind, _) in COLUMNS.items()])
    return out.getvalue().encode()


def parse(content: bytes) -> LatencyTable:
    """The inverse.  Raises SpecError."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SpecError(f"no UTF-8 text at byte {error.start}") from error
    first, _, rest = text.partition("\n")
    if not first.startswith("# "):
        raise SpecError("no table of lutfarm: the first line has to be `# ` and its header")
    header = data_of(first.removeprefix("# "))
    reader = csv.reader(io.StringIO(rest, newline=""), strict=True)
    try:
        names, *rows = reader
    except (csv.Error, ValueError) as error:
        raise SpecError(f"line {reader.line_num + 1}: cut or no CSV: {error}") from error
    if names != list(COLUMNS):
        raise SpecError("line 2: the columns are not those of a table")
    return table_of(header, _columns(rows))


def _columns(rows: Sequence[Sequence[str]]) -> Columns:
    for number, row in enumerate(rows, start=1):
        if len(row) != len(COLUMNS):
            raise SpecError(f"entry {number}: cut: it has {len(row)} of {len(COLUMNS)} cells")
    values: dict[str, Sequence[object]] = {}
    for position, (name, (kind, _)) in enumerate(COLUMNS.items()):
        try:
            values[name] = [_value(row[position], kind) for row in rows]
        except ValueError as error:
            raise SpecError(f"field {name}: {str(error)[:200]}") from error
    return Columns.of_values(values)


def _cell(value: Any, kind: ColumnType) -> str:
    if value is None:
        return ""
    if kind == "texts":
        return _text_cell(" ".join(value)) if value else ""
    return _text_cell(str(value)) if kind == "text" else repr(value)


def _text_cell(text: str) -> str:
    return MARK + text if not text or text.startswith(FORMULA_STARTS) else text


def _value(cell: str, kind: ColumnType) -> object:
    if kind == "texts":
        return cell.removeprefix(MARK).split(" ") if cell not in ("", MARK) else []
    if not cell:
        return None
    if kind == "text":
        return cell.removeprefix(MARK)
    return float(cell) if kind == "number" else int(cell)
