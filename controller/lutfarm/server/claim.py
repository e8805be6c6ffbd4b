"""A store has one server at a time, on whichever machine: it holds a lease on a name that no device can have."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from lutfarm.devices.leases import LEASE_S
from lutfarm.store.interface import LeaseStore
from lutfarm_agents import process_identity
from lutfarm_jobs.errors import LeaseLost, SpecError, StoreError
from lutfarm_jobs.round import Lease

NAME = "(server)"
RENEW_S = LEASE_S / 3
log = logging.getLogger(__name__)


@contextmanager
def claimed(store: LeaseStore, place: str, *, lost: Callable[[], None], renew_s: float = RENEW_S) -> Generator[None]:
    """Nobody else serves this store, which is at `place`, meanwhile.  Raises SpecError where another server does.

    Should it pass to another all the same, `lost` is called from another thread, and the end of the block raises LeaseLost.
    """
    holder = process_identity.words("lutfarm serve")
    got = store.acquire(NAME, owner=str(process_identity.me()), holder=holder, now_s=time.time(), ttl_s=LEASE_S)
    if not isinstance(got, Lease):
        raise SpecError(
            f"{place} is served already, by {got or 'another server'}; end that one first "
            f"(where it was killed: try again in {LEASE_S:.0f} s)"
        )
    ended, passed = threading.Event(), threading.Event()

    def renewing() -> None:
        while not ended.wait(renew_s):
            try:
                store.renew(got, now_s=time.time(), ttl_s=LEASE_S)
            except LeaseLost:
                log.error("another server has taken this one's store")
                passed.set()
                lost()
                return
            except StoreError as error:
                log.warning("the claim on the store was not renewed", extra={"detail": error.detail})

    thread = threading.Thread(target=renewing, name="claim")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        with contextlib.suppress(StoreError):  # it ends by itself
            store.release(got)
    if passed.is_set():
        raise LeaseLost(f"{place} is served by another server by now, which took this one for dead; nothing is lost")
