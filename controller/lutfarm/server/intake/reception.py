"""Takes a job that somebody sends into the queue, or says what a person would read on the command line."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lutfarm.comparison.compare_job import submit_any
from lutfarm.execution.why_job import why_job
from lutfarm.records.job import Job, JobRemoved
from lutfarm.records.queued_job import QueuedJob
from lutfarm.server.admission.roles import Caller, may
from lutfarm.server.intake.job_folders import JOB_FILE, drafted, publish, remove, tidy, told_by_names
from lutfarm.server.intake.kinds import Compares, Validates, asked_spec, keep_spec
from lutfarm.server.intake.uploads import Uploads
from lutfarm.server.turnstile import Turnstile
from lutfarm.store.interface import Store
from lutfarm.submission.submission import Submission
from lutfarm_jobs.errors import AccessDenied, NotFound, SpecError, TooManyRequests, WrongState
from lutfarm_jobs.spec import JobSpec, stored_job

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A job as it was sent: `text` is the job file, `files` by name the SHA-256 of what was sent before.

    `kind`: what it is to be beside a job for its own table; one that validates has no job file.
    """

    text: str | None
    files: Mapping[str, str]
    priority: int = 0
    retry_failed: bool = False
    until_s: float | None = None
    kind: Compares | Validates | None = None


@dataclass(slots=True)
class Reception:
    """Where jobs are taken in and given back."""

    store: Store
    folder: Path  # of the jobs' folders
    uploads: Uploads
    most_waiting: int  # jobs of one user in the queue
    _turnstile: Turnstile = field(default_factory=lambda: Turnstile("reading jobs"))
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def tidy(self) -> None:
        """Without what a server left here that was killed, and what belongs to jobs that were removed."""
        tidy(self.folder, {job.id for job, _ in self.store.jobs()}, time.time())

    def accept(self, wanted: Wanted, caller: Caller) -> tuple[Job, bool]:
        """The job, and whether it is a new one.  One that is known and has nothing left is as it was; else it is queued again."""
        if wanted.priority > 0 and not may(caller.role, "operator"):
            raise AccessDenied(f"a {caller.role} may not put a job before others: priority is 0 or less")
        if wanted.until_s is not None and wanted.until_s <= time.time():
            raise SpecError("until_s is over already; give a time to come")
        with self._turnstile.turn(), drafted(self.folder, wanted.text, wanted.files, self.uploads) as draft:
            with told_by_names(draft):
                spec = asked_spec(draft, wanted.kind, self.store)
                keep_spec(spec, draft)
            with told_by_names(draft, of="" if wanted.text is None else JOB_FILE):
                submitted, _ = submit_any(spec, draft, self.store, retry_failed=wanted.retry_failed)
            with self._one_at_a_time:
                return self._queued(wanted, caller, submitted, draft)

    def _queued(self, wanted: Wanted, caller: Caller, submitted: Submission, draft: Path) -> tuple[Job, bool]:
        job_id, now_s = submitted.spec.id, time.time()
        known = self._known(job_id)
        if known is not None:
            plan = self.store.measurements(job_id)
            other = {m.workload.key for m in submitted.plan} - {m.workload.key for m in plan}
            longer = _ends_otherwise(submitted.spec, known)
            self._require_same(known, caller, other=bool(other), longer=longer)
            more = {m.key for m in submitted.plan} - {m.key for m in plan}
            if self._stays(known, now_s, more=bool(more) or longer or wanted.retry_failed):
                return known, False
        self._require_place(caller)
        asked = Job(
            job_id,
            submitted.spec.name,
            submitted.spec.model_dump_json(),
            now_s,
            "queued",
            zeros=submitted.zeros,
            user=caller.user,
            priority=wanted.priority,
        )
        publish(draft, self.folder / job_id)
        job = self.store.open_job(asked, submitted.plan)
        if known is not None:
            self.store.close_job(job_id, "queued")
        self.store.enqueue(QueuedJob(job_id, str(self.folder / job_id), now_s, wanted.retry_failed, wanted.until_s))
        log.info("queued", extra={"job": job_id, "user": caller.user, "files": len(wanted.files), "new": known is None})
        return replace(job, state="queued", reason=""), known is None

    def _require_same(self, known: Job, caller: Caller, *, other: bool, longer: bool) -> None:
        """Raises WrongState where a job that is known can't be what was sent now.

        `other`: of other files; `longer`: a comparison with other rounds or another target.
        """
        entry = self._entry(known.id)
        if entry is not None and entry.ending:
            raise WrongState(f"{known.id} is being cancelled; send it again once it is")
        if other and entry is not None:
            raise WrongState(f"{known.id} is at work with other files; wait until it is over, or name this one otherwise")
        if longer and entry is not None:
            raise WrongState(
                f"{known.id} is at work with other rounds or another target; wait until it is over, or cancel it: the same "
                "sides go on from there"
            )
        if other and not owns(caller, known):
            raise WrongState(f"{known.id} is {known.user or 'another'}'s, of other files; name this one otherwise")

    def _stays(self, known: Job, now_s: float, *, more: bool) -> bool:
        """Whether it is in the queue, or has nothing left; `more`: it is asked for more than it has."""
        if self._entry(known.id) is not None:
            return True
        if more or known.state != "complete":
            return False
        if stored_job(known.spec_json).compares is not None:  # its pairs may be precise before it has all of its rounds
            return not known.reason
        _, rows = why_job(self.store, known.id, now_s)
        return not any(row.left for row in rows)

    def _require_place(self, caller: Caller) -> None:
        """Raises TooManyRequests where whoever sends has as many jobs in the queue as one may have."""
        waiting = self.store.queue()
        if len(waiting) < self.most_waiting:
            return
        mine = sum((job := self._known(entry.job_id)) is not None and job.user == caller.user for entry in waiting)
        if mine >= self.most_waiting:
            raise TooManyRequests(
                f"{mine} jobs of {caller.user or 'yours'} are in the queue already, and {self.most_waiting} is the most; "
                "send this one once some of them are over, or name what they measure in fewer jobs"
            )

    def _entry(self, job_id: str) -> QueuedJob | None:
        return next((entry for entry in self.store.queue() if entry.job_id == job_id), None)

    def _known(self, job_id: str) -> Job | None:
        found = self.store.job(job_id)
        return found[0] if found is not None and found[0].id == job_id else None

    def own(self, job_id: str, caller: Caller) -> Job:
        """A job by its whole id, that the caller may end and remove.  Raises NotFound, AccessDenied."""
        job = self._known(job_id)
        if job is None:
            raise NotFound(f"no job has the id {job_id[:100]!r}; what is changed is named in full")
        if not owns(caller, job):
            raise AccessDenied(f"{job.id} is {job.user or 'another'}'s: they and operators may do this")
        return job

    def cancel(self, job: Job, caller: Caller, why: str) -> None:
        """Ask the dispatcher to end it.  Raises WrongState where it is over."""
        why = ": ".join(filter(None, (f"cancelled by {caller.user or 'the operator'}", why)))
        if not self.store.ask_to_end(job.id, why):
            raise WrongState(f"{job.id} is {job.state} and not in the queue: there is nothing to cancel")
        log.info("asked to end", extra={"job": job.id, "user": caller.user})

    def remove(self, job: Job, caller: Caller) -> JobRemoved:
        """The job, and what no other job reads.  Raises WrongState where it is not over."""
        with self._one_at_a_time:
            if self._entry(job.id) is not None:
                raise WrongState(f"{job.id} is in the queue: cancel it first")
            gone = self.store.remove_job(job.id, time.time())
            remove(self.folder / job.id)
        log.info("removed", extra={"job": job.id, "user": caller.user, "runs": gone.runs})
        return gone


def _ends_otherwise(spec: JobSpec, known: Job) -> bool:
    """Whether a comparison is the same with another end: how long it goes on is no part of its id."""
    return spec.compares is not None and stored_job(known.spec_json).sampling != spec.sampling


def owns(caller: Caller, job: Job) -> bool:
    """Whether somebody may change a job: their own, or as operator anybody's."""
    return may(caller.role, "operator") or bool(caller.user and caller.user == job.user)
