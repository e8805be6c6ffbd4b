"""How jobs are, for all who listen: a job is read once for all of those that listen to it, the queue once for all jobs."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from lutfarm.api.answers import JobAnswer, JobStanding, QueueAnswer
from lutfarm.records.queued_job import QueuedJob
from lutfarm.store.interface import Store

KEPT = 1000  # jobs; more are forgotten all at once


@dataclass(slots=True)
class Standings:
    """To be used from any thread."""

    store: Store
    _jobs: dict[str, tuple[float, JobStanding | None]] = field(default_factory=dict[str, "tuple[float, JobStanding | None]"])
    _queue: Mapping[str, QueuedJob] = field(default_factory=dict[str, QueuedJob])
    _queue_s: float = float("-inf")
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, job_id: str, *, oldest_s: float) -> JobStanding | None:
        """A job by its whole id, as it was at most so long ago; None where it is no more."""
        with self._lock:
            now_s = time.monotonic()
            read_s, known = self._jobs.get(job_id, (float("-inf"), None))
            if now_s - read_s < oldest_s:
                return known
            if len(self._jobs) >= KEPT:
                self._jobs.clear()
            found = self._read(job_id, now_s, oldest_s)
            self._jobs[job_id] = now_s, found
            return found

    def _read(self, job_id: str, now_s: float, oldest_s: float) -> JobStanding | None:
        found = self.store.job(job_id)
        if found is None or found[0].id != job_id:
            return None
        # One that was not in the queue may have come since; one that has left it is told of the next time.
        if now_s - self._queue_s >= oldest_s or job_id not in self._queue:
            self._queue_s, self._queue = now_s, {entry.job_id: entry for entry in self.store.queue()}
        entry = self._queue.get(job_id)
        return JobStanding(**dict(JobAnswer.of(*found)), queue=None if entry is None else QueueAnswer.of(entry))
