"""Stores and a lease for what every store does; a second implementation is one more parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.store_kit import JOB, OWNER, PLAN

from lutfarm.store import Store, open_store
from lutfarm_jobs.round import Lease


@pytest.fixture(params=["sqlite"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Opens the same store again and again."""
    opened: list[Store] = []

    def again() -> Store:
        opened.append(open_store(tmp_path / "home"))
        return opened[-1]

    yield again
    for store in opened:
        store.close()


@pytest.fixture
def store(reopen: Callable[[], Store]) -> Store:
    return reopen()


@pytest.fixture
def lease(store: Store) -> Lease:
    store.open_job(JOB, PLAN)
    found = store.acquire("desk", owner=OWNER, holder="ann", now_s=100.0, ttl_s=60.0)
    assert isinstance(found, Lease)
    return found
