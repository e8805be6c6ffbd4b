"""CSV: for people, spreadsheets and data frames; what the table says of itself lies beside it.

`NAME.csv` holds the names of the columns and an entry a line, so that `pandas.read_csv(path)` reads it without an
argument; `NAME.manifest.json` holds the header of every format of ours, with the hash of these entries.  Numbers are
plain, a cell without a value is empty, lists of names are separated by blanks.  A text that a spreadsheet would run
as a formula, or that a reader would take for a number, a truth value or nothing at all, stands behind an apostrophe,
as does one that begins with an apostrophe and an empty text where there could be none.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

from lutfarm.lut.formats.header import data_of, header_of, table_of, text_of
from lutfarm.lut.formats.known import Beside, TableFormat
from lutfarm.lut.schema.columns import COLUMNS, Columns, ColumnType
from lutfarm.lut.table import LatencyTable
from lutfarm_jobs.errors import SpecError

BESIDE = ".manifest.json"  # in place of .csv
MARK = "'"
MARKING = 4  # columns, which no other kind of file begins with
NEWLINE = "\r\n"  # RFC 4180; and only then is a lone carriage return quoted
# What spreadsheets take for the start of a formula, in full width too, and what makes them skip to one.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", " ", "＝", "＋", "－", "＠", MARK)
# What pandas, polars and spreadsheets take for something else than a text: a device may be called `NA`, or `007`.
NO_TEXT = re.compile(
    r"\s*([0-9.][0-9.,_]*(e[+-]?[0-9]+)?|inf|infinity|1\.#(ind|qnan)|#n/?a( n/a)?|<na>|n/?a|nan|null|none|true|false)\s*",
    re.IGNORECASE,
)


def dump(table: LatencyTable) -> bytes:
    """The entries, as UTF-8 text."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator=NEWLINE)
    writer.writerow(COLUMNS)
    for row in table.columns.rows():
        writer.writerow([_cell(row[name], kind, optional=optional) for name, (kind, optional) in COLUMNS.items()])
    return out.getvalue().encode()


def dump_beside(table: LatencyTable) -> bytes:
    """What lies beside the entries: the header, as JSON."""
    fields = ",\n".join(f"{text_of(name)}: {text_of(value)}" for name, value in header_of(table).items())
    return f"{{{fields}}}\n".encode()


def parse(content: bytes, beside: bytes) -> LatencyTable:
    """The inverse of both.  Raises SpecError, also where the one is not of the other."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SpecError(f"no UTF-8 text at byte {error.start}") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names, *rows = reader
    except (csv.Error, ValueError) as error:
        raise SpecError(f"line {reader.line_num + 1}: cut or no CSV: {error}") from error
    if names != list(COLUMNS):
        raise SpecError("line 1: the columns are not those of a table")
    return table_of(data_of(beside), _columns(rows))


def _columns(rows: Sequence[Sequence[str]]) -> Columns:
    for number, row in enumerate(rows, start=1):
        if len(row) != len(COLUMNS):
            raise SpecError(f"entry {number}: cut: it has {len(row)} of {len(COLUMNS)} cells")
    values: dict[str, Sequence[object]] = {}
    for position, (name, (kind, optional)) in enumerate(COLUMNS.items()):
        try:
            values[name] = [_value(row[position], kind, optional=optional) for row in rows]
        except ValueError as error:
            raise SpecError(f"field {name}: {str(error)[:200]}") from error
    return Columns.of_values(values)


def _cell(value: Any, kind: ColumnType, *, optional: bool) -> str:
    if value is None:
        return ""
    if kind == "texts":
        return _text_cell(" ".join(value))
    if kind == "text":
        return MARK if optional and not value else _text_cell(str(value))
    return repr(value)


def _text_cell(text: str) -> str:
    return MARK + text if text.startswith(FORMULA_STARTS) or NO_TEXT.fullmatch(text) else text


def _value(cell: str, kind: ColumnType, *, optional: bool) -> object:
    if kind == "texts":
        return cell.removeprefix(MARK).split(" ") if cell not in ("", MARK) else []
    if kind == "text":
        return None if optional and not cell else cell.removeprefix(MARK)
    if not cell:
        return None
    return float(cell) if kind == "number" else int(cell)


def marked(content: bytes) -> bool:
    """By its first columns, which no version changed."""
    return content.startswith(",".join(list(COLUMNS)[:MARKING]).encode())


FORMAT = TableFormat(
    dump, beside=Beside(BESIDE, dump_beside, parse, lost="The figures alone are read by pandas.read_csv"), marked=marked
)
