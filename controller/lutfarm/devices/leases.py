"""Leases of devices: asked for one by one, renewed while they are used, given back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType

from lutfarm.store.interface import LeaseStore
from lutfarm_jobs.errors import LeaseLost
from lutfarm_jobs.round import Lease

LEASE_S = 60.0
ASK_AGAIN_S = 1.0
KEEP_S = 5.0  # how often a lease is looked at that is kept beside work that can't stop for it


@dataclass(slots=True)
class Leases:
    """By device."""

    store: LeaseStore
    _held: dict[str, Lease] = field(default_factory=dict[str, Lease])
    _asked_s: dict[str, float] = field(default_factory=dict[str, float])  # by this machine's clock; a lease ends by the store's
    _jobs: dict[str, str] = field(default_factory=dict[str, str])  # by device, for which job the store says that it is

    @property
    def held(self) -> Mapping[str, Lease]:
        """The newest lease of each device."""
        return MappingProxyType(self._held)

    def renew(self, devices: Collection[str] | None = None, *, passed: float = 1 / 3) -> list[str]:
        """Renew those, of these devices or of all, of which such a share has passed.

        The names of the devices that passed to another: they are no longer held.
        """
        now_s = time.time()
        lost: list[str] = []
        for device in list(self._held) if devices is None else devices:
            lease = self._held.get(device)
            if lease is not None and abs(now_s - self._asked_s[device]) > LEASE_S * passed and not self._renew(lease, now_s):
                lost.append(device)
        return lost

    def hold_for(self, device: str, job_id: str) -> bool:
        """Say for which job a device works next; False where it passed to another, and is no longer held."""
        lease = self._held.get(device)
        return lease is not None and (self._jobs[device] == job_id or self._renew(lease, time.time(), job_id))

    def _renew(self, lease: Lease, now_s: float, job_id: str | None = None) -> bool:
        try:
            self._held[lease.device] = self.store.renew(lease, now_s=now_s, ttl_s=LEASE_S, job_id=job_id)
            self._asked_s[lease.device] = now_s
        except LeaseLost:  # of this device alone
            self.forget(lease.device)
            return False
        if job_id is not None:
            self._jobs[lease.device] = job_id
        return True

    def ask(self, device: str, *, owner: str, holder: str, job_id: str = "") -> str:
        """Take the lease if nobody else has it; else who does, in words: empty where it is held now."""
        if device in self._held:
            return ""
        now_s = time.time()
        got = self.store.acquire(device, owner=owner, holder=holder, now_s=now_s, ttl_s=LEASE_S, job_id=job_id)
        if isinstance(got, Lease):
            self._held[device], self._asked_s[device], self._jobs[device] = got, now_s, job_id
            return ""
        return got or "another"

    def forget(self, device: str) -> None:
        """It passed to another, as the store has just said."""
        self._held.pop(device, None)

    def release(self, devices: Iterable[str] | None = None) -> None:
        """Give these back, or all."""
        for device in list(self._held) if devices is None else devices:
            if lease := self._held.pop(device, None):
                self.store.release(lease)


@contextmanager
def lease(
    store: LeaseStore, device: str, *, owner: str, holder: str, waiting: Callable[[str, str], None]
) -> Generator[Callable[[], Lease]]:
    """Wait until the device is free; `waiting(device, who)` is told who has it.

    What it gives renews the lease where that is due, and gives the newest one; that raises LeaseLost.
    """
    held = Leases(store)

    def kept() -> Lease:
        if held.renew():
            raise LeaseLost(f"{device}: the lease passed to another while this one waited; try again")
        return held.held[device]

    try:
        while who := held.ask(device, owner=owner, holder=holder):
            waiting(device, who)
            time.sleep(ASK_AGAIN_S)
        yield kept
    finally:
        held.release()


@contextmanager
def kept_beside(kept: Callable[[], Lease]) -> Generator[Callable[[], None]]:
    """Call `kept` of a `lease` every now and then, from a thread: pushing a bundle alone may take longer than a lease lasts.

    What it gives raises what that has raised by now, and so does the end: LeaseLost, StoreError.
    """
    over = threading.Event()

    def keep() -> None:
        while not over.wait(KEEP_S):
            kept()

    with ThreadPoolExecutor(1, thread_name_prefix="lease") as threads:
        keeping = threads.submit(keep)

        def require() -> None:
            if keeping.done():
                keeping.result()

        try:
            yield require
        finally:
            over.set()
    keeping.result()
