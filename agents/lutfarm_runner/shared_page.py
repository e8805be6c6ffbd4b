"""A page of memory that a child and its supervisor share: what runs, until when, and where time went.

Writing to it costs some microseconds and wakes nobody, so a slice can be guarded without a word on the wire.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
import time
from dataclasses import dataclass
from typing import Dict, Optional

from lutfarm_runner.time_without_core import waited_ns

SPENT = ("import", "load", "warmup", "canary", "slices", "wait", "other")
STATE = struct.Struct("=4q")  # workload id or -1, deadline or 0, whose, its wait for a core until then or -1
TIMES = struct.Struct("=7q")
TIMES_AT = 64
BORN = struct.Struct("=q")  # on time.monotonic_ns
BORN_AT = 128
MOST_STARVED_NS = 600 * 10**9  # that a deadline moves by


@dataclass(frozen=True)
class Mark:
    """What a process is busy with; `deadline_ns` on time.monotonic_ns, 0: none.

    `waited_ns`: for how long its first thread had been ready without a core when it said so; None: not known.
    """

    id: Optional[int]
    deadline_ns: int
    pid: int
    waited_ns: Optional[int]

    def left_ns(self) -> Optional[int]:
        """Until it has to be over; None: no deadline.  Time in which it had no core, because others had it, doesn't count."""
        if not self.deadline_ns:
            return None
        left_ns = self.deadline_ns - time.monotonic_ns()
        if left_ns > 0 or self.waited_ns is None:
            return left_ns
        starved_ns = (waited_ns(self.pid) or self.waited_ns) - self.waited_ns
        return left_ns + min(max(0, starved_ns), MOST_STARVED_NS)


class Page:
    """The shared page behind a descriptor that children inherit."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, mmap.PAGESIZE)

    @classmethod
    def create(cls) -> Page:
        """A new page: nothing runs, no deadline."""
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
        os.ftruncate(descriptor, mmap.PAGESIZE)
        page = cls(descriptor)
        page.mark(None, 0)
        BORN.pack_into(page._memory, BORN_AT, time.monotonic_ns())
        return page

    def age_ns(self) -> int:
        """How long ago the page was made: just before the child was started."""
        return time.monotonic_ns() - BORN.unpack_from(self._memory, BORN_AT)[0]

    def mark(self, workload: Optional[int], deadline_ns: int) -> None:
        """Say what runs now and when it has to be over."""
        own = os.getpid()
        waited = waited_ns(own) if deadline_ns else None
        words = (-1 if workload is None else workload, deadline_ns, own, -1 if waited is None else waited)
        STATE.pack_into(self._memory, 0, *words)

    def read(self) -> Mark:
        """What was said last."""
        workload, deadline_ns, pid, waited = STATE.unpack_from(self._memory, 0)
        return Mark(None if workload < 0 else workload, deadline_ns, pid, None if waited < 0 else waited)

    def spend(self, spent_ns: Dict[str, int]) -> None:
        """Say where the time went so far."""
        TIMES.pack_into(self._memory, TIMES_AT, *(spent_ns[name] for name in SPENT))

    def spent_ns(self) -> Dict[str, int]:
        """Where the time went, as last said."""
        return dict(zip(SPENT, TIMES.unpack_from(self._memory, TIMES_AT)))  # noqa: B905  3.9

    def close(self) -> None:
        """Release the page here."""
        self._memory.close()
        os.close(self.descriptor)
