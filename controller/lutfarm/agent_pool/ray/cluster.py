"""A Ray of our own, for as long as one pool lives: its settings, its folder, its end.  Imports no Ray itself."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from lutfarm_agents.process_identity import me, parse

# A unix socket's path may have 107 bytes; Ray appends up to 66 to its folder, and we 20 to this one.
LONGEST_PARENT = 20
PREFIX = "lutfarm-"
END_S = 10.0
WATCH_S = 30.0
WATCH_EVERY_S = 0.2


@contextmanager
def private_folder() -> Generator[Path]:
    """A folder that only this user can enter, removed at the end; in it `ray`, which Ray opens to all."""
    parent = Path(tempfile.gettempdir())
    if len(str(parent)) > LONGEST_PARENT:
        parent = Path("/tmp")  # noqa: S108  mkdtemp makes it for this user only
    sweep(parent)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    try:
        (folder / "owner").write_text(str(me()))
        (folder / "ray").mkdir()
        with _watched(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _watched(folder: Path) -> Generator[None]:
    """Beside a process that ends what this one leaves in the folder should it be killed.

    Ray's agents notice within 2 s that their raylet is gone, and then try for a minute to report it to a service that is gone
    too.  The watcher waits for the end of a pipe, which costs nothing, in a session of its own.
    """
    argv = [sys.executable, "-c", "from lutfarm.agent_pool.ray.cluster import watch; watch()", str(folder)]
    watcher = subprocess.Popen(  # noqa: S603  no shell; argv is our own
        argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield
    finally:
        watcher.kill()
        watcher.communicate()


def watch() -> None:
    """Until whoever started this process is gone; then end what it left in the folder that argv names, and remove that."""
    folder = Path(sys.argv[1])
    sys.stdin.buffer.read()
    deadline_s = time.monotonic() + WATCH_S
    while not _is_stale(folder):  # it closed the pipe, and lives
        if time.monotonic() > deadline_s or not folder.exists():
            return
        time.sleep(WATCH_EVERY_S)
    while _end_users(folder) and time.monotonic() < deadline_s:
        time.sleep(WATCH_EVERY_S)
    shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path) -> int:
    """End what a killed process left, where its watcher was killed too; how many folders."""
    swept = 0
    for folder in parent.glob(PREFIX + "*"):
        if _is_stale(folder):
            _end_users(folder)
            shutil.rmtree(folder, ignore_errors=True)
            swept += 1
    return swept


def _end_users(folder: Path) -> int:
    """Kill who has a file of the folder open, as all of Ray has its log files; how many.

    Ray's processes write their titles over their environment, and have other parents by now.
    """
    found = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if any(file.path.startswith(f"{folder}/") for file in process.open_files()):
                process.kill()
                found += 1
    return found


def _is_stale(folder: Path) -> bool:
    """Whether it is ours, and the process that made it is gone."""
    try:
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            return False
        owner = parse((folder / "owner").read_text())
    except (OSError, ValueError):
        return False
    return owner is not None and not owner.is_alive


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
        # Where prometheus-client is installed Ray's autoscaler serves its own metrics on all interfaces; no port, no server.
        "AUTOSCALER_METRIC_PORT": "-1",
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


def end(processes: Iterable[psutil.Process], *, patience_s: float = END_S) -> int:
    """Wait for these to end, and kill those that do not; how many had to be killed."""
    _, alive = psutil.wait_procs(processes, timeout=patience_s)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=END_S)
    return len(alive)


@dataclass(frozen=True, slots=True)
class Ending:
    """Leaving it calls `shutdown`, and waits for what this process has started beside `but`.

    Where a person interrupts the block, or that end of it, everything is killed instead.
    """

    shutdown: Callable[[], None]
    but: Collection[psutil.Process]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._kill()
            return
        try:
            self.shutdown()
            end(self._started())
        except KeyboardInterrupt:
            self._kill()
            raise

    def _started(self) -> set[psutil.Process]:
        return descendants() - set(self.but)

    def _kill(self) -> None:
        # Ray's shutdown asks the GCS for leave: 0.3 s while that lives, 5 s without it, and left out it comes when Python exits.
        end({process for process in self._started() if not _is_gcs(process)}, patience_s=0)
        self.shutdown()
        end(self._started(), patience_s=0)


def _is_gcs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.name() == "gcs_server"
    return False
