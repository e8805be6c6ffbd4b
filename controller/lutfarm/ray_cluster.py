"""A Ray of our own, for as long as one pool lives: its settings, its folder, its end.  Imports no Ray itself."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

# A unix socket's path may have 107 bytes; Ray appends up to 66 to its folder, and we 20 to this one.
LONGEST_PARENT = 20
END_S = 10.0


@contextmanager
def private_folder() -> Generator[Path]:
    """A folder that only this user can enter, with one in it for Ray, which opens its own to all; removed at the end."""
    parent = tempfile.gettempdir()
    folder = Path(tempfile.mkdtemp(prefix="lutfarm-", dir=parent if len(parent) <= LONGEST_PARENT else "/tmp"))  # noqa: S108
    try:
        (folder / "ray").mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def settings(folder: Path) -> Mapping[str, str]:
    """Environment for Ray: a token of its own in a file, nothing sent home, no metrics collected."""
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_enable_metrics_collection": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }


@contextmanager
def environment(values: Mapping[str, str]) -> Generator[None]:
    """These variables in this process's environment, and what was there before at the end."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


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


def end(processes: set[psutil.Process]) -> int:
    """Wait for these to end, and kill those that do not; how many had to be killed."""
    _, alive = psutil.wait_procs(processes, timeout=END_S)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=END_S)
    return len(alive)
