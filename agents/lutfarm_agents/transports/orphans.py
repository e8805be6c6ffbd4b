"""Notes of the sessions that a host started, so that those of a host that died can be ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import psutil

from lutfarm_agents.process_identity import identity, is_alive
from lutfarm_jobs.atomic_files import replacing

NOTE_LIMIT_BYTES = 1000


@dataclass(frozen=True, slots=True)
class Orphans:
    """One small file for each running session: its leader and its host, with their start times."""

    folder: Path

    def note(self, leader: int) -> Path:
        """Write down that this process started the session of `leader`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / str(leader)
        facts = {"leader": identity(leader), "host": identity(os.getpid())}
        with replacing(path, durable=False) as file:  # half a note reads as one of a host that died
            file.write(json.dumps(facts).encode())
        return path

    def forget(self, note: Path) -> None:
        """The session was ended.  Where nothing can be removed the note stays: it names processes that are gone."""
        with contextlib.suppress(OSError):
            note.unlink(missing_ok=True)

    def reap(self) -> int:
        """End the sessions whose host is gone; how many were still there."""
        ended = 0
        for note in sorted(self.folder.glob("[0-9]*")):
            leader, host = _read(note)
            if host is not None and is_alive(host):
                continue
            if leader is not None and is_alive(leader):
                end_session(int(leader[0]))
                ended += 1
            self.forget(note)
        return ended


def session_members(leader: int) -> list[int]:
    """Process ids of a session, and of every descendant of its leader while it is one."""
    found = [pid for pid in psutil.pids() if _session_of(pid) == leader]
    if leader in found:
        with contextlib.suppress(psutil.Error):
            found += [child.pid for child in psutil.Process(leader).children(recursive=True)]
    return list(dict.fromkeys(found))


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def end_session(leader: int) -> None:
    """Kill them all; those that are gone are no error."""
    for pid in session_members(leader):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def _read(note: Path) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
    try:
        facts: object = json.loads(note.read_bytes()[:NOTE_LIMIT_BYTES])
    except (OSError, ValueError):
        return None, None
    if not isinstance(facts, dict):
        return None, None
    fields = cast("dict[str, object]", facts)
    return _pair(fields.get("leader")), _pair(fields.get("host"))


def _pair(value: object) -> tuple[float, float] | None:
    if not isinstance(value, list):
        return None
    items = cast("list[object]", value)
    if len(items) != 2 or not isinstance(items[0], int) or not isinstance(items[1], int | float):
        return None
    return float(items[0]), float(items[1])
