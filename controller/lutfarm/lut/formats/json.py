"""JSON: for programs and for diffs, an entry a line."""

from __future__ import annotations

from typing import Any, cast

from lutfarm.lut.formats.header import begins, checked_header, data_of, header_of, table_of, text_of
from lutfarm.lut.formats.known import TableFormat
from lutfarm.lut.schema.columns import COLUMNS, Columns
from lutfarm.lut.table import LatencyTable
from lutfarm_jobs.errors import SpecError


def dump(table: LatencyTable) -> bytes:
    """One object: the header's fields, then `entries`."""
    head = ",\n".join(f"{text_of(name)}: {text_of(value)}" for name, value in header_of(table).items())
    rows = ",\n".join(text_of(row) for row in table.columns.rows())
    return f'{{{head},\n"entries": [\n{rows}\n]}}\n'.encode()


def parse(content: bytes) -> LatencyTable:
    """The inverse.  Raises SpecError."""
    data = data_of(content)
    entries: Any = cast("dict[str, Any]", data).pop("entries", None) if isinstance(data, dict) else None
    header = checked_header(data)
    if not isinstance(entries, list):
        raise SpecError("edited or cut: it has no list of entries")
    rows = cast("list[dict[str, Any]]", entries)
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict) or row.keys() != COLUMNS.keys():  # pyright: ignore[reportUnnecessaryIsInstance]
            raise SpecError(f"entry {number}: its fields are not those of an entry")
    return table_of(header, Columns.of_values({name: [row[name] for row in rows] for name in COLUMNS}))


FORMAT = TableFormat(dump, parse, marked=begins)
