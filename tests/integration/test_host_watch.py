"""The devices of hosts that go away and come back, while nobody is at work with them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lutfarm.records.device_state import DeviceEvent
from lutfarm.records.host import HostSeen
from lutfarm.server import host_watch
from lutfarm.server.host_book import LOST_S, HostBook
from lutfarm.store import Store, open_store
from lutfarm_agents.address import LocalAddress
from lutfarm_agents.device import Device

NOW_S = time.time()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "home") as found:
        for name, host in (("here", "local"), ("idle", "b"), ("busy", "b"), ("held", "b"), ("other", "c")):
            found.put_device(Device(name, f"generic-linux-{os.uname().machine}", "local", LocalAddress(), host=host))
        found.acquire("busy", owner="test 1", holder="ann", now_s=NOW_S, ttl_s=3600.0)
        found.step_device("busy", DeviceEvent("lease taken", "ann"), NOW_S)
        found.step_device("held", DeviceEvent("held", "a new fan"), NOW_S)
        yield found


def states(store: Store) -> dict[str, str]:
    return {device.name: store.device_record(device.name, NOW_S).state for device in store.devices()}


def seen(name: str, seen_s: float) -> HostSeen:
    return HostSeen(name, f"session of {name}", "10.0.0.7", "0.1.0", "2.60.0", "3.11.9", seen_s, joined=True)


def test_what_hangs_on_a_host_that_is_silent_is_lost_unless_somebody_is_at_work_with_it(store: Store) -> None:
    book = HostBook()
    book.saw(seen("b", NOW_S))
    book.saw(seen("c", NOW_S + LOST_S))
    assert host_watch.look(store, book, (), NOW_S + LOST_S) == set()
    assert host_watch.look(store, book, (), NOW_S + LOST_S + 1) == {"b"}
    assert states(store) == {"here": "new", "idle": "lost", "busy": "busy", "held": "maintenance", "other": "new"}
    record = store.device_record("idle", NOW_S)
    assert (record.code, record.reason) == ("LinkLost", "its host b is not there: lutfarm host join, on it")


def test_one_that_was_said_to_be_absent_is_not_said_again(store: Store) -> None:
    absent = host_watch.look(store, HostBook(), (), NOW_S)
    assert absent == {"b", "c"}
    store.step_device("idle", DeviceEvent("check passed"), NOW_S)
    assert host_watch.look(store, HostBook(), absent, NOW_S) == absent
    assert states(store)["idle"] == "ready"


def test_a_host_that_has_joined_brings_back_what_was_lost(store: Store) -> None:
    host_watch.look(store, HostBook(), (), NOW_S)
    host_watch.back(store, "b", NOW_S + 1)
    assert states(store) == {"here": "new", "idle": "ready", "busy": "busy", "held": "maintenance", "other": "lost"}
    events = [line.event for line in store.device_history("idle")]
    assert events == ["link lost", "host joined"]
