"""The leases of one job's devices: taken together, renewed while it runs, given back at its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType

from lutfarm.store.interface import LeaseStore
from lutfarm_jobs.round import Lease

LEASE_S = 60.0
ASK_AGAIN_S = 1.0


@dataclass(slots=True)
class Leases:
    """By device."""

    store: LeaseStore
    _held: dict[str, Lease] = field(default_factory=dict[str, Lease])

    @property
    def held(self) -> Mapping[str, Lease]:
        """The newest lease of each device."""
        return MappingProxyType(self._held)

    def renew(self, *, passed: float = 1 / 3) -> None:
        """Renew those of which such a share has passed.  Raises LeaseLost."""
        now_s = time.time()
        for device, lease in self._held.items():
            if lease.expires_s - now_s < LEASE_S * (1 - passed):
                self._held[device] = self.store.renew(lease, now_s=now_s, ttl_s=LEASE_S)

    def take(self, device: str, *, owner: str, holder: str, waiting: Callable[[str, str], None], job_id: str = "") -> None:
        """Wait until the device is free; `waiting(device, holder)` is told who has it."""
        while device not in self._held:
            got = self.store.acquire(device, owner=owner, holder=holder, now_s=time.time(), ttl_s=LEASE_S, job_id=job_id)
            if isinstance(got, Lease):
                self._held[device] = got
            else:
                waiting(device, got)
                self.renew()
                time.sleep(ASK_AGAIN_S)

    def release(self, devices: Iterable[str] | None = None) -> None:
        """Give these back, or all."""
        for device in list(self._held) if devices is None else devices:
            if lease := self._held.pop(device, None):
                self.store.release(lease)


@contextmanager
def leases(
    store: LeaseStore, devices: Iterable[str], *, owner: str, holder: str, waiting: Callable[[str, str], None], job_id: str = ""
) -> Generator[Leases]:
    """Leases on all devices.  Taken in the order of their names, so that no two jobs wait for each other."""
    held = Leases(store)
    try:
        for device in sorted(devices):
            held.take(device, owner=owner, holder=holder, waiting=waiting, job_id=job_id)
        yield held
    finally:
        held.release()
