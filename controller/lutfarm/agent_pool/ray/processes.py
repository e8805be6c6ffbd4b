"""The processes of a Ray of our own, and which cores they have.  No Ray here."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Collection, Generator
from contextlib import contextmanager

import psutil


@contextmanager
def on_all(cpus: frozenset[int]) -> Generator[None]:
    """What is started inside may use these cores beside the caller's: Ray starts in 5 s on two, 7 s on one."""
    thread = threading.get_native_id()
    before = os.sched_getaffinity(thread)
    try:
        os.sched_setaffinity(thread, before | cpus)
        yield
    finally:
        os.sched_setaffinity(thread, before)


def own_threads() -> set[int]:
    """The threads of this process."""
    return {thread.id for thread in psutil.Process().threads()}


def keep_away(cpus: frozenset[int], *, but: Collection[int]) -> None:
    """Every thread of this process and of all below it leaves these cores, where there are others."""
    for process in [psutil.Process(), *descendants()]:
        with contextlib.suppress(psutil.Error, OSError):
            for thread in process.threads():
                others = os.sched_getaffinity(thread.id) - cpus
                if others and thread.id not in but:
                    os.sched_setaffinity(thread.id, others)


def descendants() -> set[psutil.Process]:
    """Every process below this one."""
    return set(psutil.Process().children(recursive=True))


def kill_descendant(pid: int) -> None:
    """End a process at once, if it is one of ours."""
    for process in descendants():
        if process.pid == pid:
            with contextlib.suppress(psutil.Error):
                process.kill()
