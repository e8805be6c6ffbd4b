"""Which process one is, among all that may ever write into a store or use a device: `<host>:<place>:<pid>:<start>`.

Numbers come again, so that a process is told by its start too, in clock ticks after boot: a time of day would change with the
clock.  The place is a digest of the machine, its boot and its process-id namespace: two containers of one machine count from 1
both.
"""

from __future__ import annotations

import contextlib
import functools
import getpass
import hashlib
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

from lutfarm_runner.machine.process import started_at

PATTERN = r"([^:\s]{1,255}):([0-9a-f]{16}):(\d{1,10}):(\d{1,20})"


@dataclass(frozen=True, slots=True)
class Process:
    """One process; `str` is its text, `parse` reads that."""

    host: str
    place: str
    pid: int
    started: int  # clock ticks after boot; 0 where it ended before it was looked at

    def __str__(self) -> str:
        return f"{self.host}:{self.place}:{self.pid}:{self.started}"

    @property
    def is_here(self) -> bool:
        """Whether its number means here what it means there."""
        return (self.host, self.place) == (socket.gethostname(), _place())

    @property
    def is_alive(self) -> bool:
        """Whether that very process runs, here."""
        return self.is_here and self.started > 0 and started_at(self.pid) == self.started and not _is_zombie(self.pid)

    @property
    def has_ended(self) -> bool:
        """Whether it ran here and is no more; what can't be told is alive."""
        if not self.is_here:
            return False
        now = started_at(self.pid)
        return _is_zombie(self.pid) or (now != self.started if now else not psutil.pid_exists(self.pid))


def of(pid: int) -> Process:
    """A process of this machine by its number."""
    return Process(socket.gethostname(), _place(), pid, started_at(pid))


def me() -> Process:
    """This process."""
    return of(os.getpid())


def parse(text: str) -> Process | None:
    """What `str` made of a process; None for anything else."""
    found = re.fullmatch(PATTERN, text)
    return Process(found[1], found[2], int(found[3]), int(found[4])) if found else None


def has_ended(text: str) -> bool:
    """The same of a text; True only where it names a process that ran here."""
    process = parse(text)
    return process is not None and process.has_ended


def user() -> str:
    """Who runs this process, for people to read."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}"


def words(what: str) -> str:
    """This process and what it does, for people who wait for what it holds."""
    return f"{user()}@{socket.gethostname()}: {what}, process {os.getpid()}"


def _is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


@functools.cache
def _place() -> str:
    known: list[str] = []
    for path in ("/etc/machine-id", "/proc/sys/kernel/random/boot_id"):
        with contextlib.suppress(OSError):
            known.append(Path(path).read_text().strip())
    with contextlib.suppress(OSError):
        known.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256(" ".join(known).encode()).hexdigest()[:16]
