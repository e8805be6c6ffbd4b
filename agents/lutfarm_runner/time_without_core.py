"""What the kernel's scheduler says of this process: for how long threads were ready to run and had no core."""

from __future__ import annotations

import os
from typing import Callable, Dict, Optional

OWN = "/proc/thread-self/schedstat"
TASKS = "/proc/self/task"


def run_delay(threads: int) -> Callable[[], Optional[int]]:
    """A clock of the waiting time in ns: of the calling thread, or with more than one of all threads together.

    The second number of schedstat (the kernel's Documentation/scheduler/sched-stats.rst); 1.5 us a look.  None where the
    system keeps no such account.
    """
    if threads > 1:
        return _AllThreads()
    descriptor = _open(OWN)
    return lambda: _delay_ns(descriptor)


def waited_ns(pid: int) -> Optional[int]:
    """For how long a process's first thread was ready without a core, since it began; None where nobody can say."""
    descriptor = _open(f"/proc/{pid}/schedstat")
    if descriptor < 0:
        return None
    try:
        return _delay_ns(descriptor)
    finally:
        os.close(descriptor)


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def _delay_ns(descriptor: int) -> Optional[int]:
    try:
        return int(os.pread(descriptor, 100, 0).split()[1])
    except (OSError, IndexError, ValueError):
        return None


class _AllThreads:
    """The sum over the threads that there are; one that ended takes its time with it, which shows as less than before."""

    def __init__(self) -> None:
        self._descriptors: Dict[str, int] = {}

    def __call__(self) -> Optional[int]:
        try:
            there = [entry.name for entry in os.scandir(TASKS)]
        except OSError:
            return None
        for thread in there:
            if thread not in self._descriptors:
                self._descriptors[thread] = _open(f"{TASKS}/{thread}/schedstat")
        found = [_delay_ns(self._descriptors[thread]) for thread in there]
        known = [ns for ns in found if ns is not None]
        return sum(known) if known else None
