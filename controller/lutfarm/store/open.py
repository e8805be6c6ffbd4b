"""Opens the store of a home, whatever keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lutfarm_jobs.extras import extras

if TYPE_CHECKING:
    from lutfarm.store.sql.store import SqlStore


def open_store(home: Path, *, to_read: bool = False, begun: bool = False) -> SqlStore:
    """The store of a home; made where there is none.  Raises StoreError, ExtraMissing.

    `to_read`: nothing will be written, so a home that is full or read-only is read all the same.  With it, or where it has
    `begun`: SpecError for a home without a store, and nothing is made there.
    """
    with extras():
        from lutfarm.store.sql import open as database  # SQLAlchemy takes longer than all that a help page needs

        if to_read or begun:
            database.require(home)
        return database.open_store(home, to_read=to_read)
