"""The database's own errors: which of ours each becomes, and what it says to do."""

from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy.exc import ArgumentError, DBAPIError

from lutfarm.store.sql.errors import mapped
from lutfarm_jobs.errors import StoreError, StoreUnwritable


class Fault(sqlite3.DatabaseError):
    """As sqlite3 raises it: with the name of its extended code."""

    def __init__(self, name: str, said: str) -> None:
        super().__init__(said)
        self.sqlite_errorname = name


@pytest.mark.parametrize(
    ("name", "said", "kind", "cure"),
    [
        ("SQLITE_FULL", "database or disk is full", StoreUnwritable, "make room or make it writable"),
        ("SQLITE_READONLY_DBMOVED", "attempt to write a readonly database", StoreUnwritable, "make room or make it writable"),
        ("SQLITE_IOERR_WRITE", "disk I/O error", StoreUnwritable, "make room or make it writable"),
        ("SQLITE_CANTOPEN", "unable to open database file", StoreUnwritable, "make room or make it writable"),
        ("SQLITE_PERM", "access permission denied", StoreUnwritable, "make room or make it writable"),
        ("SQLITE_CORRUPT", "database disk image is malformed", StoreError, "the file is damaged: restore it from a copy"),
        ("SQLITE_CORRUPT_INDEX", "bad index", StoreError, "the file is damaged: restore it from a copy"),
        ("SQLITE_NOTADB", "file is not a database", StoreError, "the file is damaged: restore it from a copy"),
        ("", "malformed database schema", StoreError, "the file is damaged: restore it from a copy"),
        ("SQLITE_BUSY", "database is locked", StoreError, "another process is writing for too long"),
        ("SQLITE_BUSY_SNAPSHOT", "database is locked", StoreError, "another process is writing for too long"),
    ],
)
def test_a_fault_of_the_database_says_what_to_do(name: str, said: str, kind: type[StoreError], cure: str) -> None:
    fault = Fault(name, said)
    with pytest.raises(StoreError) as caught, mapped("/home/store"):
        raise DBAPIError("insert", {}, fault)
    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"/home/store: {said}; ")
    assert cure in str(caught.value)


def test_another_fault_is_told_as_it_is() -> None:
    with pytest.raises(StoreError) as caught, mapped("/home/store"):
        raise DBAPIError("insert", {}, Fault("SQLITE_CONSTRAINT", "UNIQUE failed"))
    assert str(caught.value) == "/home/store: UNIQUE failed"
    with pytest.raises(StoreError, match="/home/store: no such thing"), mapped("/home/store"):
        raise ArgumentError("no such thing")


def test_where_nothing_fails_nothing_is_changed() -> None:
    with pytest.raises(ValueError, match="mine"), mapped("/home/store"):
        raise ValueError("mine")
