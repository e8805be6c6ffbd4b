"""Opens the store of a home, whatever keeps it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lutfarm_jobs.errors import SpecError, StoreUnwritable
from lutfarm_jobs.extras import extras

if TYPE_CHECKING:
    from lutfarm.store.sql.store import SqlStore

ADDRESS = "LUTFARM_STORE"  # of a database that is not in the home
NOTE = "store"  # the file in the home that says where its farm is, where that is elsewhere


def open_store(home: Path, *, to_read: bool = False, begun: bool = False) -> SqlStore:
    """The store of a home; made where there is none.  Raises StoreError, ExtraMissing.

    In the home, or at the address in LUTFARM_STORE.  `to_read`: nothing will be written, so a home that is full or read-only is
    read all the same.  With it, or where it has `begun`: SpecError for a home without a store, and nothing is made there.
    """
    address = os.environ.get(ADDRESS, "")
    with extras():
        if address:
            from lutfarm.store.sql import postgresql  # SQLAlchemy takes longer than all that a help page needs

            store = postgresql.open_store(address, begun=to_read or begun)
            if not to_read:
                _note(home, store.place)
            return store
        from lutfarm.store.sql import open as database

        _require_here(home)
        if to_read or begun:
            database.require(home)
        return database.open_store(home, to_read=to_read)


def _note(home: Path, place: str) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        note = home / NOTE
        if not note.exists() or note.read_text() != f"{place}\n":
            note.write_text(f"{place}\n")
    except OSError as error:
        raise StoreUnwritable(
            f"{home}: {error.strerror}; make room, make it writable, or choose another place with --home"
        ) from error


def _require_here(home: Path) -> None:
    """Whoever forgets to say where the farm is would begin another one, and measure all of it again."""
    note = home / NOTE
    if note.is_file():
        raise SpecError(
            f"the farm of {home} is kept in {note.read_text().strip()[:200]}: say so in {ADDRESS}, "
            f"or remove {note} to have another one here"
        )
