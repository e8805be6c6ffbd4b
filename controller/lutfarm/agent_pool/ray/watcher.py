"""Beside a process, another one that cleans up should it be killed.  No Ray here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def watched(module: str, argument: str) -> Generator[None]:
    """A process that calls `watch()` of the module, with this argument: its standard input ends once this one is gone.

    Waiting for that costs nothing.  It lives in a session of its own, and ends with the block.
    """
    argv = [sys.executable, "-c", f"from {module} import watch; watch()", argument]
    watcher = subprocess.Popen(  # noqa: S603  no shell; argv is our own
        argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield
    finally:
        watcher.kill()
        watcher.communicate()
