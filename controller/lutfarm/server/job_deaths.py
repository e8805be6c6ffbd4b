"""How often a dispatcher died while it took a job in: such a job is ended, so that the others go on."""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from lutfarm.execution.intake_note import IntakeNote
from lutfarm.store.interface import Store
from lutfarm_jobs.atomic_files import replacing
from lutfarm_jobs.errors import StoreError

FILE = "deaths.json"
MOST_DEATHS = 3
_WHAT = {"read": "the job was read and planned", "built": "models of the job were built"}
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JobDeaths:
    """Counted on the server's own disk; that one died while it measured says nothing of the jobs, and is not counted."""

    store: Store
    note: IntakeNote
    path: Path

    def died(self, seen: str) -> None:
        """A dispatcher has ended, as `seen` says; the job that it was taking in then has failed where that was too often."""
        left = self.note.left()
        self.note.forget()
        if left is None:
            return
        times = self._counts().get(left.job_id, 0) + 1
        self._keep({**self._counts(), left.job_id: times})
        log.warning("the dispatcher died over a job", extra={"job": left.job_id, "times": times, "seen": seen})
        if times < MOST_DEATHS:
            return
        why = (
            f"inconclusive: what measures died {times} times while {_WHAT[left.doing]}, the last time {seen}; what was "
            "measured stays. Make it smaller (fewer or smaller operators and networks in one job), or give the farm's machine "
            "more memory, then send it again"
        )
        try:
            self.store.close_job(left.job_id, "failed", why)
            self.store.dequeue(left.job_id)
            waiting = {entry.job_id for entry in self.store.queue()}
        except StoreError as error:  # the next death ends it
            log.warning("the job could not be ended", extra={"job": left.job_id, "detail": error.detail})
            return
        log.error("failed", extra={"job": left.job_id, "why": why})
        self._keep({job_id: count for job_id, count in self._counts().items() if job_id in waiting})

    def _counts(self) -> Mapping[str, int]:
        try:
            found: Any = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return {}
        if not isinstance(found, dict):
            return {}
        items = cast("dict[str, Any]", found).items()
        return {job_id: count for job_id, count in items if isinstance(count, int)}

    def _keep(self, counts: Mapping[str, int]) -> None:
        with replacing(self.path, mode=0o600) as file:
            file.write(json.dumps(counts).encode())


def seen_of(code: int) -> str:
    """How a process ended, in words, by its exit code as subprocess gives it."""
    if code == -signal.SIGKILL:
        return "killed by SIGKILL, as a machine does whose memory runs out"
    if code < 0:
        return f"ended by {signal.Signals(-code).name}, as a crash of native code does"
    return f"with exit code {code}; the server's log says more"
