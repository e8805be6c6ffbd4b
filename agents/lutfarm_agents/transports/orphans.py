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

from lutfarm_agents.process_identity import Process, me, of, parse
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
        facts = {"leader": str(of(leader)), "host": str(me())}
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
            if host is not None and host.is_alive:
                continue
            if leader is not None and leader.is_alive:
                end_session(leader.pid)
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


def _read(note: Path) -> tuple[Process | None, Process | None]:
    try:
        facts: object = json.loads(note.read_bytes()[:NOTE_LIMIT_BYTES])
    except (OSError, ValueError):
        return None, None
    if not isinstance(facts, dict):
        return None, None
    fields = cast("dict[str, object]", facts)
    return parse(str(fields.get("leader"))), parse(str(fields.get("host")))
