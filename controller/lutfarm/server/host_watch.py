"""What becomes of the devices of a host that goes away or comes: also of those with which nobody is at work."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Generator
from contextlib import contextmanager

from lutfarm.records.device_state import DeviceEvent
from lutfarm.server.host_book import LOST_S, HostBook
from lutfarm.store.interface import DeviceStore
from lutfarm_agents.device import HERE
from lutfarm_jobs.errors import LinkLost, StoreError

LOOK_S = 2.0
log = logging.getLogger(__name__)


def gone(store: DeviceStore, host: str, why: str, now_s: float) -> None:
    """The idle devices of a host that is not there are lost; whoever is at work with the others finds out."""
    for device in store.devices():
        if device.host == host and store.device_record(device.name, now_s).state in ("new", "ready"):
            store.step_device(device.name, DeviceEvent("link lost", why, code=LinkLost.__name__), now_s)


def back(store: DeviceStore, host: str, now_s: float) -> None:
    """The devices of a host that has joined are tried again at once, if they were lost."""
    for device in store.devices():
        if device.host == host and store.device_record(device.name, now_s).state == "lost":
            store.step_device(device.name, DeviceEvent("host joined", f"its host {host} has joined"), now_s)


def look(store: DeviceStore, book: HostBook, known: Collection[str], now_s: float) -> set[str]:
    """The hosts that are not there, of those on which devices hang; what hangs on those that are not `known` yet is lost."""
    there = {host.name for host in book.all() if now_s - host.seen_s <= LOST_S}
    absent = {device.host for device in store.devices()} - there - {HERE}
    for host in absent.difference(known):
        gone(store, host, f"its host {host} is not there: lutfarm host join, on it", now_s)
        log.warning("a host is not there", extra={"host": host})
    return absent


@contextmanager
def watched(store: DeviceStore, book: HostBook) -> Generator[None]:
    """Look now and then meanwhile; those that joined before have the time to say so first."""
    ended = threading.Event()

    def looking() -> None:
        known: set[str] = set()
        pause_s = LOST_S
        while not ended.wait(pause_s):
            pause_s = LOOK_S
            try:
                known = look(store, book, known, time.time())
            except StoreError as error:
                log.warning("the hosts were not looked at", extra={"detail": error.detail})

    thread = threading.Thread(target=looking, name="hosts")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
