"""Opens a store in SQLite: makes its folder, brings its schema up to date, sets SQLite up for safety."""

from __future__ import annotations

import fcntl
import shutil
import sqlite3
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.pool import ConnectionPoolEntry

from lutfarm.store.sql.errors import mapped
from lutfarm.store.sql.migrating import NEWEST, migrate, revision
from lutfarm.store.sql.sqlite import begin, connected
from lutfarm.store.sql.store import SqlStore
from lutfarm_jobs.errors import SpecError, StoreUnwritable

FILE_NAME = "farm.db"


def open_store(home: Path, *, to_read: bool = False) -> SqlStore:
    """The store of a home; made where there is none.  Raises StoreError.

    `to_read`: nothing will be written, so a home that is full or read-only is read all the same.
    """
    try:
        return _open(home)
    except StoreUnwritable:
        if not to_read or not (home / FILE_NAME).is_file():
            raise
        return open_reading(home / FILE_NAME)


def require(home: Path) -> None:
    """Raises SpecError where a home has no store: maybe its name was mistyped."""
    if not (home / FILE_NAME).exists():
        seen = "holds no farm" if home.is_dir() else "is not there"
        raise SpecError(
            f"the home {home} {seen}: look for a typing error in --home or LUTFARM_HOME, "
            "or begin a farm there: lutfarm device register this-machine --local"
        )


def _open(home: Path) -> SqlStore:
    path = home / FILE_NAME
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _one_at_a_time(home):
            engine = connected(path)
            with mapped(str(path)):
                migrate(engine, str(path))
    except OSError as error:
        raise StoreUnwritable(
            f"{home}: {error.strerror}; make room, make it writable, or choose another place with --home"
        ) from error
    return SqlStore(engine, str(path))


@contextmanager
def _one_at_a_time(home: Path) -> Generator[None]:
    """Two processes that open a new store at once must not both migrate it."""
    with (home / ".opening").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def open_reading(path: Path) -> SqlStore:
    """A database where nothing can be written.  Raises StoreError.

    A reader of a WAL database writes beside it.  Where it can't, the file is read as it stands, which is all of it if no WAL
    lies there; where one does, both are copied to where temporary files go.
    """
    wal = path.with_name(f"{path.name}-wal")
    copies: tempfile.TemporaryDirectory[str] | None = None
    source, access = path, {"mode": "ro", "immutable": "1"}
    try:
        if wal.is_file() and wal.stat().st_size > 0:
            copies = tempfile.TemporaryDirectory(prefix="lutfarm-reading-")
            for file in (path, wal):
                shutil.copy2(file, copies.name)
            source, access = Path(copies.name) / path.name, {"mode": "rw"}
    except OSError as error:
        if copies is not None:
            copies.cleanup()
        raise StoreUnwritable(
            f"{path}: can't be read where it is, nor be copied to {tempfile.gettempdir()}: {error.strerror}; make room, "
            "or name another folder in TMPDIR"
        ) from error
    # SQLite decodes this address, so a name with ? or # in it must come there encoded; text given here would be decoded twice.
    engine = create_engine(URL.create("sqlite", database=f"file:{quote(str(source))}", query={**access, "uri": "true"}))
    event.listen(engine, "connect", _set_up_reading)
    event.listen(engine, "begin", begin)
    with mapped(str(path)):
        current = revision(engine)
    if current != NEWEST:
        engine.dispose()
        raise StoreUnwritable(f"{path}: another version wrote it, and it can't be brought up to date: make it writable")
    return SqlStore(engine, str(path), copies=copies)


def _set_up_reading(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA query_only=ON")
