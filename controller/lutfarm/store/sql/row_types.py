"""Whether rows hold what their columns are for: SQLite keeps whatever it is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Boolean, Column, Float, LargeBinary, Table

from lutfarm.store.sql.schema import metadata
from lutfarm.store.sql.words import Text
from lutfarm_jobs.errors import StoreError

_KINDS: tuple[tuple[type[Any], tuple[type[Any], ...]], ...] = (
    (Text, (str,)),
    (Float, (float, int)),
    (Boolean, (bool,)),
    (LargeBinary, (bytes,)),
)


def checked(table: Table, row: Mapping[Any, Any]) -> dict[str, Any]:
    """The row by its columns' names.  Raises StoreError for a value that its column can't have."""
    for column in table.columns:
        value = row[column.name]
        if not (isinstance(value, _kinds(column)) or (value is None and column.nullable)):
            raise StoreError(f"it is damaged: {table.name}.{column.name} holds a {type(value).__name__}")
    return {column.name: row[column.name] for column in table.columns}


def _kinds(column: Column[Any]) -> tuple[type[Any], ...]:
    return next((kinds for kind, kinds in _KINDS if isinstance(column.type, kind)), (int,))


def odd_truths() -> Iterator[tuple[str, str, str]]:
    """Table, column, and what finds rows in SQLite where it is neither true nor false: read, each would be one of both."""
    for table in metadata.sorted_tables:
        for column in table.columns:
            if isinstance(column.type, Boolean):
                name = f'"{column.name}"'
                odd = f"typeof({name}) NOT IN ('integer', 'null') OR {name} NOT IN (0, 1)"
                yield table.name, column.name, f'SELECT count(*) FROM "{table.name}" WHERE {odd}'  # noqa: S608  our own names
