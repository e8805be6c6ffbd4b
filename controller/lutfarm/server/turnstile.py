"""Lets a few at costly work, has a few more wait, and sends the rest away."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager

from lutfarm_jobs.errors import ServerBusy


class Turnstile:
    """`at_work` at once, `waiting` behind them, for `patience_s` at most: what waits holds a thread of the server's."""

    def __init__(self, what: str, *, at_work: int = 2, waiting: int = 8, patience_s: float = 30.0) -> None:
        self._what, self._patience_s = what, patience_s
        self._inside = threading.BoundedSemaphore(at_work + waiting)
        self._at_work = threading.BoundedSemaphore(at_work)

    @contextmanager
    def turn(self) -> Generator[None]:
        """Raises ServerBusy."""
        if not self._inside.acquire(blocking=False):
            raise ServerBusy(f"too many wait for {self._what} already; ask again in a moment")
        try:
            if not self._at_work.acquire(timeout=self._patience_s):
                raise ServerBusy(f"{self._what} takes others too long; ask again in a moment")
            try:
                yield
            finally:
                self._at_work.release()
        finally:
            self._inside.release()
