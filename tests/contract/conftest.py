"""Stores and a lease for what every store does; a second implementation is one more parameter."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, nullcontext
from pathlib import Path

import pytest
from tests.rig.fixtures import postgresql
from tests.rig.postgresql import PostgreSql
from tests.server_kit import served
from tests.store_kit import JOB, OWNER, PLAN

from lutfarm.server.store_app import store_app
from lutfarm.store import Store, open_store
from lutfarm.store.rpc.remote import socket_store
from lutfarm.store.sql import postgresql as opening
from lutfarm_jobs.round import Lease

__all__ = ["postgresql"]


@pytest.fixture(scope="session")
def migrated(postgresql: PostgreSql) -> str:
    """The name of a database that is copied for each test: migrations take a second."""
    address = postgresql.database()
    opening.open_store(address).close()
    return address.partition("?")[0].rpartition("/")[2]


@pytest.fixture(params=["sqlite", "postgresql", "served"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Opens the same store again and again; `served`: as another process has it, of the server that keeps it."""
    address = ""
    if request.param == "postgresql":
        server: PostgreSql = request.getfixturevalue("postgresql")
        address = server.database(template=request.getfixturevalue("migrated"))
    with ExitStack() as opened:

        def again() -> Store:
            found = opening.open_store(address) if address else open_store(tmp_path / "home")
            store = opened.enter_context(closing(found))
            if request.param != "served":
                return store
            socket = tmp_path / f"{uuid.uuid4().hex[:8]}.socket"
            opened.enter_context(served(store_app(store, asked=nullcontext), socket=socket))
            return opened.enter_context(closing(socket_store(socket)))

        yield again


@pytest.fixture
def store(reopen: Callable[[], Store]) -> Store:
    return reopen()


@pytest.fixture
def lease(store: Store) -> Lease:
    store.open_job(JOB, PLAN)
    found = store.acquire("desk", owner=OWNER, holder="ann", now_s=100.0, ttl_s=60.0)
    assert isinstance(found, Lease)
    return found
