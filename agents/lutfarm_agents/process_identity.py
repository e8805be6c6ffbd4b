"""Which process one is, so that a number that was given again is no mistake."""

from __future__ import annotations

import psutil


def identity(pid: int) -> tuple[float, float]:
    """A process as its id and when it was started: ids come again."""
    try:
        return pid, psutil.Process(pid).create_time()
    except psutil.Error:
        return pid, 0.0  # it ended at once


def is_alive(identity: tuple[float, float]) -> bool:
    """Whether that very process still runs."""
    pid, created_s = identity
    try:
        process = psutil.Process(int(pid))
        return process.create_time() == created_s and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
