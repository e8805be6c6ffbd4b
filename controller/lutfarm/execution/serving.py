"""A farm that goes on: jobs come from the store's queue, and leave it when they are over."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lutfarm.agent_pool.interface import Event
from lutfarm.execution.resume import Resumed
from lutfarm.execution.run_job import JobOutcome, close, outcome
from lutfarm.execution.sitting import Sitting
from lutfarm.execution.waiting_jobs import WaitingJobs, pause_s
from lutfarm.records.queued_job import QueuedJob
from lutfarm.scheduling.job_progress import JobProgress
from lutfarm.scheduling.unit import Unit
from lutfarm.store.interface import Store
from lutfarm.submission.submission import Submission
from lutfarm_jobs.errors import DeviceError, FarmError, LinkError, StoreError, WrongState
from lutfarm_jobs.sources import Sources

LOOK_S = 0.5  # how soon a job that was submitted is taken, and one that is to end is told so
LETS_GO_S = 0.5  # what is over is let go for so long, then comes the next turn
GIVES_UP = 5  # a job that breaks its devices, and measures nothing in so many tries, has failed
TIME_UP = "its time was up"
log = logging.getLogger(__name__)

Reading = Callable[[QueuedJob, Store], tuple[Submission, Sources]]
"""A queued job with what its names stand for now, and in which order it is measured.  Raises SpecError."""


@dataclass(slots=True)
class Serving:
    """Beside a sitting, what the queue of its store asks for.  To be used from one thread."""

    store: Store
    sitting: Sitting
    read: Reading
    _ending: dict[str, str] = field(default_factory=dict[str, str])  # jobs that somebody ended, and why
    _tries: dict[str, int] = field(default_factory=dict[str, int])  # jobs that could not go on, how often in a row
    _runs: dict[str, int] = field(default_factory=dict[str, int])  # what the jobs had when they were taken
    _looked_s: float = float("-inf")
    _waiting: WaitingJobs = field(init=False)

    def __post_init__(self) -> None:
        self._waiting = WaitingJobs(self.store)

    def turn(self) -> None:
        """Take what has come, one turn of the sitting, let go what is over."""
        if time.monotonic() - self._looked_s >= LOOK_S:
            more = self._look(time.time())
            self._looked_s = float("-inf") if more else time.monotonic()
        self.sitting.turn()
        began_s = time.monotonic()
        for job_id in self.sitting.over():
            self._over(job_id, time.time())
            if time.monotonic() - began_s > LETS_GO_S:
                return

    def _look(self, now_s: float) -> bool:
        """End what is to end, then take one job at most: reading it may take seconds, in which nothing else goes on.

        Whether another one is due.
        """
        waiting = [entry for entry in self.store.queue() if not self._is_over(entry, now_s)]
        self._waiting.look(now_s)
        units = self.sitting.state.units
        due = [entry for entry in waiting if self._waiting.is_due(entry, units, now_s)]
        if due:
            self._take(due[0], now_s)
        return len(due) > 1

    def _is_over(self, entry: QueuedJob, now_s: float) -> bool:
        """Whether nothing is left to take: it is at work, or somebody ended it, or its time was up before it began."""
        if entry.job_id in self.sitting.state.jobs:
            if entry.ending and entry.job_id not in self._ending:
                self._ending[entry.job_id] = entry.ending
                self.sitting.withdraw(entry.job_id)
            return True
        if entry.ending:
            self._ended(entry.job_id, "cancelled", entry.ending)
        elif entry.until_s is not None and entry.until_s <= now_s:
            self._ended(entry.job_id, "cancelled", TIME_UP)
        else:
            return False
        return True

    def _take(self, entry: QueuedJob, now_s: float) -> None:
        """One that can't be taken as it is has failed, and keeps what was measured; one whose devices are not well waits."""
        job_id = entry.job_id
        self._waiting.taken(job_id, now_s)
        try:
            with self.sitting.taking(job_id, "read"):
                submitted, sources = self.read(entry, self.store)
                self.sitting.admit(submitted, sources, LoggedJob(job_id))
        except StoreError:
            raise
        except (WrongState, DeviceError, LinkError) as error:
            self._later(job_id, now_s, f"{error.code}: {error.detail}")
            return
        except FarmError as error:
            self._ended(job_id, "failed", f"{error.code}: {error.detail}")
            return
        self.store.close_job(job_id, "open")
        self.store.taken(job_id)
        self._runs[job_id] = _counted(self.store, job_id)
        log.info("taken", extra={"job": job_id, "user": submitted.user, "priority": submitted.priority})

    def _over(self, job_id: str, now_s: float) -> None:
        job, together = self.sitting.state.job(job_id), self.sitting.state.jobs[job_id].strategy.together
        ended = outcome(job, self.sitting.units_of(job), together=together)
        self.sitting.leave(job_id)
        if why := self._ending.pop(job_id, ""):
            self._ended(job_id, "cancelled", why)
        elif job.time_up and not ended.whole:
            self._ended(job_id, "cancelled", TIME_UP)
        elif not ended.whole and ended.out_of_work and not job.stopped:
            self._put_off(ended, now_s)
        else:
            close(self.store, ended)
            self._forget(job_id)
            log.info("over", extra={"job": job_id, "missing": len(ended.missing), "left": len(ended.left)})

    def _put_off(self, ended: JobOutcome, now_s: float) -> None:
        """Its devices are out of work: it is looked at again, and keeps its place by its age.  What can't end well has failed."""
        job_id, why = ended.job_id, ended.out_of_work
        went_on = _counted(self.store, job_id) > self._runs[job_id]
        if went_on:
            self._tries.pop(job_id, None)
        out = {unit.name: unit.out for unit in ended.units.values() if unit.out}
        gone = [state == "retired" for state in out.values()]
        for_good = any(gone) if ended.together else bool(gone) and all(gone)
        if (not ended.job.gave_up and for_good) or (ended.job.gave_up and self._tries.get(job_id, 0) + 1 >= GIVES_UP):
            self._ended(job_id, "failed", why)
        elif out and not ended.job.gave_up:
            self.store.put_off(job_id, self._waiting.wait(job_id, out, now_s, went_on=went_on), why)
            log.warning("put off", extra={"job": job_id, "why": why})
        else:
            self._later(job_id, now_s, why)

    def _later(self, job_id: str, now_s: float, why: str) -> None:
        """Twice as late each time in a row."""
        tries = self._tries[job_id] = self._tries.get(job_id, 0) + 1
        for_s = pause_s(tries)
        self.store.put_off(job_id, now_s + for_s, why)
        log.warning("put off", extra={"job": job_id, "why": why, "for_s": for_s})

    def _ended(self, job_id: str, state: Literal["cancelled", "failed"], why: str) -> None:
        self.store.close_job(job_id, state, why)
        self._forget(job_id)
        log.info(state, extra={"job": job_id, "why": why})

    def _forget(self, job_id: str) -> None:
        self.store.dequeue(job_id)
        self._tries.pop(job_id, None)
        self._runs.pop(job_id, None)
        self._waiting.forget(job_id)


def _counted(store: Store, job_id: str) -> int:
    known = store.job(job_id)
    return known[1].runs if known else 0


@dataclass(frozen=True, slots=True)
class LoggedJob:
    """Watches a job for the log."""

    job_id: str
    _waits: dict[str, str] = field(default_factory=dict[str, str])  # by device, who was said to have it

    def waiting(self, device: str, holder: str) -> None:
        """Another holder has the device: said once for each."""
        if self._waits.get(device) == holder:
            return
        self._waits[device] = holder
        log.info("waiting", extra={"job": self.job_id, "device": device, "holder": holder})

    def resumed(self, device: str, found: Resumed) -> None:
        """What the store already has for a device."""
        self._waits.pop(device, None)
        log.info("resumed", extra={"job": self.job_id, "device": device, "runs": found.own_runs + found.adopted_runs})

    def retrying(self, failures: int) -> None:
        """So many stored failures are measured again."""
        log.info("retrying", extra={"job": self.job_id, "failures": failures})

    def preparing(self, done: int, total: int) -> None:
        """Model files of one order are being built."""

    def update(self, job: JobProgress, units: Mapping[str, Unit], events: Sequence[Event]) -> None:
        """After each batch of events."""
