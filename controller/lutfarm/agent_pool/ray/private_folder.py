"""The folder of a Ray of our own: nobody else enters it, and who is left in it once its owner is gone is ended.  No Ray here."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil

from lutfarm.agent_pool.ray.watcher import watched
from lutfarm_agents.process_identity import me, parse

# A unix socket's path may have 107 bytes; Ray appends up to 66 to its folder, and we 20 to this one.
LONGEST_PARENT = 20
PREFIX = "lutfarm-"
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
        with watched(__name__, str(folder)):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def watch() -> None:
    """Until whoever started this process is gone; then end what it left in the folder that argv names, and remove that.

    Ray's agents notice within 2 s that their raylet is gone, and then try for a minute to report it to a service that is gone.
    """
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
