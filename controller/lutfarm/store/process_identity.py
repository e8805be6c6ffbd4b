"""Who holds a lease: `<host> <process> <start of that process>`, so that a dead owner can be told."""

from __future__ import annotations

import getpass
import os
import socket

import psutil


def me() -> str:
    """This process."""
    return _name(os.getpid(), psutil.Process().create_time())


def user() -> str:
    """Who runs this process, for people to read."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}"


def words(what: str) -> str:
    """This process and what it does, for people who wait for what it holds."""
    return f"{user()}@{socket.gethostname()}: {what}, process {os.getpid()}"


def _name(pid: int, start_s: float) -> str:
    return f"{socket.gethostname()} {pid} {start_s:.2f}"


def is_dead(owner: str) -> bool:
    """True where the owner was a process of this host and is no more; what can't be told is alive."""
    parts = owner.rsplit(" ", 2)
    if len(parts) != 3 or parts[0] != socket.gethostname() or not parts[1].isdecimal():
        return False
    try:
        process = psutil.Process(int(parts[1]))
        return process.status() == psutil.STATUS_ZOMBIE or _name(process.pid, process.create_time()) != owner
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False
