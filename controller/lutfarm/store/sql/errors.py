"""The one place where the database's own errors become ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from lutfarm_jobs.errors import StoreError, StoreUnwritable

_UNWRITABLE = {"SQLITE_FULL", "SQLITE_READONLY", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_PERM"}
_DAMAGED = {"SQLITE_CORRUPT", "SQLITE_NOTADB"}
_KEPT = "nothing of what was stored is lost"
_BUSY = "another process is writing for too long: see that no second one hangs"

# PostgreSQL's codes, https://www.postgresql.org/docs/current/errcodes-appendix.html; the longest start that fits decides.
_UNREACHABLE = f"PostgreSQL does not answer. See that it runs and is reached from here; {_KEPT}: run again"
_BY_CODE: dict[str, tuple[type[StoreError], str]] = {
    "": (StoreError, ""),
    "08": (StoreError, _UNREACHABLE),
    "25006": (StoreUnwritable, f"it can only be read; name the server that writes. {_KEPT}"),
    "25P03": (StoreError, f"this one wrote nothing for too long, and others went on; {_KEPT}: run again"),
    "28": (StoreError, "see the user in LUTFARM_STORE, and the password there, in PGPASSWORD or in ~/.pgpass"),
    "3D000": (StoreError, "make it: createdb --encoding UTF8 --template template0"),
    "40": (StoreError, _BUSY),
    "42501": (StoreUnwritable, "make the user of LUTFARM_STORE the owner of the database"),
    "53": (StoreUnwritable, f"make room for PostgreSQL; {_KEPT}: run again"),
    "53300": (StoreError, f"PostgreSQL has no connection left: raise its max_connections; {_KEPT}: run again"),
    "55P03": (StoreError, _BUSY),
    "57P": (StoreError, _UNREACHABLE),
    "58": (StoreUnwritable, f"PostgreSQL can't reach its files; {_KEPT}: see its log, run again"),
    "XX001": (StoreError, "the database is damaged: restore it from a copy"),
    "XX002": (StoreError, "an index is damaged: reindexdb, or restore the database from a copy"),
}

# Whoever is refused a connection is told no code.
_BY_WORDS = {
    "password": "28",
    "authentication": "28",
    "pg_hba": "28",
    'role "': "28",
    "does not exist": "3D000",
    "too many clients": "53300",
    "connection slots": "53300",
}


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
    seen = f"{place}: {' '.join(str(error.orig).split())}"
    return _of_sqlite(seen, error.orig) if isinstance(error.orig, sqlite3.Error) else _of_postgresql(seen, error)


def _of_sqlite(seen: str, error: sqlite3.Error) -> StoreError:
    name = str(getattr(error, "sqlite_errorname", ""))
    family = "_".join(name.split("_")[:2])
    if family in _UNWRITABLE:
        return StoreUnwritable(f"{seen}; {_KEPT}: make room or make it writable, run again")
    if family in _DAMAGED or (isinstance(error, sqlite3.DatabaseError) and "malformed" in str(error)):
        return StoreError(f"{seen}; the file is damaged: restore it from a copy, or choose another place with --home")
    if family == "SQLITE_BUSY":
        return StoreError(f"{seen}; {_BUSY}")
    return StoreError(seen)


def _of_postgresql(seen: str, error: DBAPIError) -> StoreError:
    code = str(getattr(error.orig, "sqlstate", None) or "")
    if not code and (error.connection_invalidated or type(error.orig).__name__ == "OperationalError"):
        code = next((code for words, code in _BY_WORDS.items() if words in seen), "08")
    kind, advice = _BY_CODE[max(filter(code.startswith, _BY_CODE), key=len)]
    return kind(f"{seen}; {advice}" if advice else seen)
