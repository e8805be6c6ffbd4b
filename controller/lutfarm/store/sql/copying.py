"""All of a store as one SQLite file, and back, whatever database it is in; over SQLAlchemy Core."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import cast

from sqlalchemy import Connection, Engine, Table, delete, exists, func, insert, select, update

from lutfarm.store.sql.database import Database
from lutfarm.store.sql.errors import mapped
from lutfarm.store.sql.migrating import migrate
from lutfarm.store.sql.row_types import checked, odd_truths
from lutfarm.store.sql.schema import farms, leases, metadata, queued_jobs
from lutfarm.store.sql.sqlite import connected
from lutfarm_agents.process_identity import has_ended
from lutfarm_jobs.atomic_files import publish
from lutfarm_jobs.errors import SpecError, StoreUnwritable

ROWS = 200
LONGEST_BYTES = 1 << 28  # of one value
NEWER = 1_000_000  # tokens of leases that were given out after a backup was made are fewer than that


class Copying(Database):
    """The part of a store that goes to another place."""

    _farm_id: str

    def write_copy(self, path: Path) -> None:
        """A new file of one moment of the store, while others go on; whole or not at all.  Raises SpecError, StoreError."""
        if path.exists():
            raise SpecError(f"{path} is there already: name another file")
        try:
            with tempfile.TemporaryDirectory(prefix=".lutfarm-copy-", dir=path.absolute().parent) as folder, self._read() as db:
                draft = Path(folder) / path.name
                if db.dialect.name == "sqlite":
                    with closing(sqlite3.connect(draft)) as copy:
                        cast(sqlite3.Connection, db.connection.driver_connection).backup(copy)
                else:
                    _filled(draft, db)
                with closing(sqlite3.connect(draft)) as copy:
                    copy.execute("PRAGMA journal_mode=DELETE")  # one file; whoever opens it as a store has a WAL again
                publish(draft, path, mode=0o600)
        except (OSError, sqlite3.Error) as error:
            raise StoreUnwritable(f"{path}: {error}; make room, or choose another place; nothing of the store changed") from error

    def take_copy(self, path: Path, *, settled: tuple[str, str] | None = None) -> None:
        """Fill this store, which must be empty, from such a file; all of it or nothing.

        The file may come from anywhere: its rows are read, checked and written anew, nothing else of it is used.  `settled`:
        the home that it was made in and the one that it comes to; where it is given, leases from here on have greater tokens
        than any that were given out after the copy was made.  Raises SpecError, StoreError.
        """
        with _vetted(path) as copy, copy.connect().execution_options(reads=True) as rows, self._write() as db:
            self._forget_ended_claims(db)
            if used := [table.name for table in metadata.sorted_tables if table is not farms and _any(db, table)]:
                raise SpecError(f"{self.place} holds a farm already ({used[0]} has rows): only an empty one can be filled")
            db.execute(delete(farms))
            with mapped(str(path)):
                copy_rows(rows, db)
            if settled is not None:
                _settle(db, *settled)
            self._farm_id = db.execute(select(farms.c.id)).scalar_one()

    @staticmethod
    def _forget_ended_claims(db: Connection) -> None:
        """Of servers that had this store: leases of what no device is called."""
        for row in db.execute(select(leases).where(leases.c.device.startswith("("))).all():
            if row.owner and not has_ended(row.owner):
                raise SpecError(f"{row.holder} has this store now: end that first")
            db.execute(delete(leases).where(leases.c.device == row.device))


def copy_rows(source: Connection, target: Connection) -> None:
    """Every row of every table.  Raises StoreError for a value that its column can't have."""
    for table in metadata.sorted_tables:
        query = select(table).order_by(*table.primary_key)
        with source.execute(query, execution_options={"yield_per": ROWS}) as found:
            for part in found.mappings().partitions():
                target.execute(insert(table), [checked(table, row) for row in part])
        number = table.c.get("number")
        if number is not None and target.dialect.name == "postgresql":
            following = select(func.coalesce(func.max(number), 0) + 1).scalar_subquery()
            target.execute(select(func.setval(func.pg_get_serial_sequence(table.name, "number"), following, False)))  # noqa: FBT003


def _any(db: Connection, table: Table) -> bool:
    return bool(db.execute(select(exists(select(table)))).scalar_one())


def _settle(db: Connection, old: str, new: str) -> None:
    db.execute(update(leases).values(token=leases.c.token + NEWER))
    for row in db.execute(select(queued_jobs.c.job_id, queued_jobs.c.folder)).all():
        folder = Path(row.folder)
        if folder.is_relative_to(old):
            moved = str(Path(new) / folder.relative_to(old))
            db.execute(update(queued_jobs).where(queued_jobs.c.job_id == row.job_id).values(folder=moved))


def _filled(path: Path, source: Connection) -> None:
    engine = connected(path)
    try:
        with mapped(str(path)):
            migrate(engine, str(path))
            with engine.begin() as copy:
                copy_rows(source, copy)
    finally:
        engine.dispose()


@contextmanager
def _vetted(path: Path) -> Generator[Engine]:
    """A private copy of a database file from anywhere, brought to this version's schema."""
    with tempfile.TemporaryDirectory(prefix="lutfarm-import-") as folder:
        private = Path(folder) / "copy.db"
        try:
            shutil.copyfile(path, private)
        except OSError as error:
            raise SpecError(
                f"{path}: {error.strerror}; see the path, and that there is room in {tempfile.gettempdir()}"
            ) from error
        try:
            with closing(sqlite3.connect(private)) as db:
                _vet(db, path)
        except sqlite3.Error as error:
            raise SpecError(f"{path}: {error}; it should be a file that lutfarm db export wrote") from error
        engine = connected(private)
        try:
            with mapped(str(path)):
                migrate(engine, str(path))
            yield engine
        finally:
            engine.dispose()


def _vet(db: sqlite3.Connection, path: Path) -> None:
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_BYTES)
    db.execute("PRAGMA trusted_schema=OFF")
    known = {"alembic_version", *metadata.tables}
    tables: set[str] = set()
    for kind, name, table, sql in db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"):
        plain = str(sql or "").upper().startswith(f"CREATE {kind}".upper()) or (kind == "index" and not sql)
        unique = kind == "index" and str(sql or "").upper().startswith("CREATE UNIQUE INDEX")
        if kind not in ("table", "index") or table not in known or not (plain or unique):
            raise SpecError(f"{path}: it holds the {str(kind)[:20]} {str(name)[:80]!r}, which no farm has: it is not used")
        tables |= {table} if kind == "table" else set()
    if not {"alembic_version", "runs", "farms"} <= tables:
        raise SpecError(f"{path}: there is no farm in it; it should be a file that lutfarm db export wrote")
    for name in tables:
        if any(column[6] for column in db.execute(f'PRAGMA table_xinfo("{name}")')):
            raise SpecError(f"{path}: the table {name} has computed columns, which no farm has: it is not used")
    (said,) = db.execute("PRAGMA integrity_check(1)").fetchone()
    if said != "ok" or db.execute("PRAGMA foreign_key_check").fetchone() is not None:
        raise SpecError(f"{path}: the file is damaged ({said[:200]}); take another copy")
    for name, column, query in odd_truths():
        if name in tables and db.execute(query).fetchone()[0]:
            raise SpecError(f"{path}: it is damaged: {name}.{column} holds what is neither true nor false")
