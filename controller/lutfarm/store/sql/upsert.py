"""Inserts that pass over what is there: each database has its own construct of one grammar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.dialects import sqlite

if TYPE_CHECKING:
    from sqlalchemy import Dialect, Table
    from sqlalchemy.dialects import postgresql


def insert(dialect: Dialect, table: Table) -> sqlite.Insert | postgresql.Insert:
    """One that knows `on_conflict_do_nothing` and `on_conflict_do_update`."""
    if dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql  # which imports all of its drivers' parts

        return postgresql.insert(table)
    return sqlite.insert(table)
