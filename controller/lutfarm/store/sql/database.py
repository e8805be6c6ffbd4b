"""One database: transactions that write, looks that read, and its errors as ours."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, Engine

from lutfarm.store.sql.errors import mapped
from lutfarm.store.sql.migrating import revision
from lutfarm_jobs.errors import StoreError

THREAD_WAIT_S = 60.0


class Database:
    """A context manager; leaving it closes the database.  Any number of threads may use it."""

    def __init__(self, engine: Engine, place: str, copies: TemporaryDirectory[str] | None = None) -> None:
        self._engine = engine
        self.place = place
        self._copies = copies  # of a database that can only be read elsewhere
        self._writing = threading.Lock()  # threads take turns; SQLite would let the luckier ones pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @contextmanager
    def _write(self) -> Generator[Connection]:
        if not self._writing.acquire(timeout=THREAD_WAIT_S):
            raise StoreError(f"{self.place}: another thread of this process is writing for too long; end it and run again")
        try:
            with mapped(self.place), self._engine.begin() as db:
                yield db
        finally:
            self._writing.release()

    @contextmanager
    def _read(self) -> Generator[Connection]:
        with mapped(self.place), self._engine.connect().execution_options(reads=True) as db:
            yield db

    def schema(self) -> str:
        """The revision of the database's schema."""
        return revision(self._engine) or ""

    def close(self) -> None:
        self._engine.dispose()
        if self._copies is not None:
            self._copies.cleanup()
