"""The one place where the database's own errors become ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from lutfarm_jobs.errors import StoreError, StoreUnwritable

_UNWRITABLE = {"SQLITE_FULL", "SQLITE_READONLY", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_PERM"}
_DAMAGED = {"SQLITE_CORRUPT", "SQLITE_NOTADB"}


@contextmanager
def mapped(place: str) -> Generator[None]:
    """Turn the database's errors into StoreErrors that name the place and what to do."""
    try:
        yield
    except DBAPIError as error:
        raise _ours(place, error) from error
    except SQLAlchemyError as error:
        raise StoreError(f"{place}: {error}") from error


def _ours(place: str, error: DBAPIError) -> StoreError:
    name = str(getattr(error.orig, "sqlite_errorname", ""))
    family = "_".join(name.split("_")[:2])
    seen = f"{place}: {error.orig}"
    if family in _UNWRITABLE:
        return StoreUnwritable(f"{seen}; nothing of what was stored is lost: make room or make it writable, run again")
    if family in _DAMAGED or (isinstance(error.orig, sqlite3.DatabaseError) and "malformed" in str(error.orig)):
        return StoreError(f"{seen}; the file is damaged: restore it from a copy, or choose another place with --home")
    if family == "SQLITE_BUSY":
        return StoreError(f"{seen}; another process is writing for too long: see that no second one hangs")
    return StoreError(seen)
