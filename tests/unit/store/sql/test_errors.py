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


class OperationalError(Exception):
    """As psycopg raises it."""

    def __init__(self, sqlstate: str | None, said: str) -> None:
        super().__init__(said)
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("sqlstate", "said", "kind", "cure"),
    [
        ("57P01", "terminating connection due to administrator command", StoreError, "PostgreSQL does not answer"),
        ("08006", "connection failure", StoreError, "PostgreSQL does not answer"),
        (None, "connection to server at 127.0.0.1 failed: Connection refused", StoreError, "PostgreSQL does not answer"),
        (None, "server closed the connection unexpectedly", StoreError, "PostgreSQL does not answer"),
        (None, 'FATAL: password authentication failed for user "x"', StoreError, "see the user in LUTFARM_STORE"),
        (None, "fe_sendauth: no password supplied", StoreError, "see the user in LUTFARM_STORE"),
        (None, 'FATAL: role "x" does not exist', StoreError, "see the user in LUTFARM_STORE"),
        (None, 'FATAL: database "x" does not exist', StoreError, "make it: createdb"),
        (None, "FATAL: sorry, too many clients already", StoreError, "raise its max_connections"),
        ("53100", "could not extend file: No space left on device", StoreUnwritable, "make room for PostgreSQL"),
        ("53300", "too many connections", StoreError, "raise its max_connections"),
        ("25006", "cannot execute INSERT in a read-only transaction", StoreUnwritable, "it can only be read"),
        ("42501", "permission denied for table runs", StoreUnwritable, "make the user of LUTFARM_STORE the owner"),
        ("55P03", "canceling statement due to lock timeout", StoreError, "another process is writing for too long"),
        ("40P01", "deadlock detected", StoreError, "another process is writing for too long"),
        ("25P03", "terminating connection due to idle-in-transaction timeout", StoreError, "wrote nothing for too long"),
        ("XX001", "invalid page in block 7", StoreError, "the database is damaged"),
    ],
)
def test_a_fault_of_postgresql_says_what_to_do(sqlstate: str | None, said: str, kind: type[StoreError], cure: str) -> None:
    with pytest.raises(StoreError) as caught, mapped("postgresql://h/farm"):
        raise DBAPIError("insert", {}, OperationalError(sqlstate, said))
    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"postgresql://h/farm: {said}; ")
    assert cure in str(caught.value)


def test_another_fault_of_postgresql_is_told_as_it_is() -> None:
    with pytest.raises(StoreError) as caught, mapped("postgresql://h/farm"):
        raise DBAPIError("insert", {}, OperationalError("23505", "duplicate key value\nDETAIL:  Key (id)"))
    assert str(caught.value) == "postgresql://h/farm: duplicate key value DETAIL: Key (id)"
