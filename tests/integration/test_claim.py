"""A store has one server at a time."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.rig.fixtures import postgresql
from tests.rig.postgresql import PostgreSql

from lutfarm.server.claim import NAME, claimed
from lutfarm.store import open_store
from lutfarm.store.interface import Store
from lutfarm_jobs.errors import LeaseLost, SpecError
from lutfarm_jobs.job_file.fields import NAME_PATTERN

__all__ = ["postgresql"]
ELSEWHERE = "farm-2:0123456789abcdef:17:4711"  # a process of another machine
SERVE = [Path(sys.executable).with_name("lutfarm"), "serve", "--executor", "local", "--port", "0"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "home") as found:
        yield found


def never() -> None:
    pytest.fail("it was lost")


def test_it_has_a_name_that_no_device_can_have() -> None:
    assert not re.fullmatch(NAME_PATTERN, NAME)


def test_a_store_that_another_machine_serves_is_refused_with_who_does(store: Store) -> None:
    store.acquire(NAME, owner=ELSEWHERE, holder="anna@farm-2: lutfarm serve, process 17", now_s=time.time(), ttl_s=60.0)
    with pytest.raises(SpecError, match="the farm is served already, by anna@farm-2: lutfarm serve, process 17; end that one"):
        with claimed(store, "the farm", lost=never):
            pytest.fail("two serve it")


def test_it_is_given_back_at_the_end(store: Store) -> None:
    with claimed(store, "the farm", lost=never):
        assert store.lease_holder(NAME, time.time()) is not None
    assert store.lease_holder(NAME, time.time()) is None


def test_it_is_renewed_while_it_is_served(store: Store) -> None:
    with claimed(store, "the farm", lost=never, renew_s=0.01):
        first = store.lease_holder(NAME, time.time())
        assert first is not None
        for _ in range(1000):
            now = store.lease_holder(NAME, time.time())
            if now is not None and now.until_s > first.until_s:
                break
            time.sleep(0.05)
        else:
            pytest.fail("it was never renewed")


def test_who_lost_it_is_told_and_leaves_the_other_one_its_own(store: Store) -> None:
    """Such as a machine that was asleep for minutes."""
    told = threading.Event()
    with pytest.raises(LeaseLost, match="another server"):
        with claimed(store, "the farm", lost=told.set, renew_s=0.01):
            store.acquire(NAME, owner=ELSEWHERE, holder="anna", now_s=time.time() + 3600.0, ttl_s=60.0)
            assert told.wait(60)
    held = store.lease_holder(NAME, time.time())
    assert held is not None
    assert held.words == "anna"


def test_two_servers_of_two_homes_do_not_share_a_database(postgresql: PostgreSql, tmp_path: Path) -> None:
    environment = os.environ | {"LUTFARM_STORE": postgresql.database()}

    def server(name: str) -> subprocess.Popen[str]:
        own = environment | {"LUTFARM_HOME": str(tmp_path / name), "COLUMNS": "400"}
        return subprocess.Popen(SERVE, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    with server("one") as one:
        try:
            assert one.stdout is not None
            said = next(line for line in one.stdout if "http://" in line)
            with server("two") as two:
                words, _ = two.communicate(timeout=240)
            assert two.returncode == 2, words
            assert "is served already, by" in words
            assert f"lutfarm serve, process {one.pid}" in " ".join(words.split())
            assert one.poll() is None, said
        finally:
            one.send_signal(signal.SIGTERM)
            rest = one.stdout.read() if one.stdout else ""
    assert one.returncode == 0, rest
