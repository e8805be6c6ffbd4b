"""What a served farm has still to do, over SQLAlchemy Core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Connection, delete, insert, select, update

from lutfarm.records.queued_job import QueuedJob
from lutfarm.store.sql.database import Database
from lutfarm.store.sql.schema import jobs, queued_jobs
from lutfarm_jobs.errors import SpecError


class QueueRows(Database):
    """The part of a store that knows what waits."""

    def enqueue(self, entry: QueuedJob) -> None:
        with self._write() as db:
            if db.execute(select(jobs.c.id).where(jobs.c.id == entry.job_id)).first() is None:
                raise SpecError(f"no job {entry.job_id[:100]!r} is stored: open it before it is put into the queue")
            db.execute(delete(queued_jobs).where(queued_jobs.c.job_id == entry.job_id))
            db.execute(insert(queued_jobs).values(**asdict(entry)))

    def queue(self) -> Sequence[QueuedJob]:
        with self._read() as db:
            rows = db.execute(select(queued_jobs).order_by(queued_jobs.c.submitted_s, queued_jobs.c.job_id)).all()
        return [QueuedJob(*row) for row in rows]

    def put_off(self, job_id: str, not_before_s: float, why: str) -> None:
        later = update(queued_jobs).where(queued_jobs.c.job_id == job_id).values(not_before_s=not_before_s, waiting=why)
        with self._write() as db:
            db.execute(later)

    def taken(self, job_id: str) -> None:
        at_work = update(queued_jobs).where(queued_jobs.c.job_id == job_id).values(retry_failed=False, waiting="")
        with self._write() as db:
            db.execute(at_work)

    def ask_to_end(self, job_id: str, why: str) -> bool:
        mine = queued_jobs.c.job_id == job_id
        with self._write() as db:
            db.execute(
                update(queued_jobs).where(mine, queued_jobs.c.ending == "").values(ending=why or "somebody asked to end it")
            )
            return is_queued(db, job_id)

    def dequeue(self, job_id: str) -> None:
        with self._write() as db:
            db.execute(delete(queued_jobs).where(queued_jobs.c.job_id == job_id))


def is_queued(db: Connection, job_id: str) -> bool:
    """Whether a served farm has it still to do."""
    return db.execute(select(queued_jobs.c.job_id).where(queued_jobs.c.job_id == job_id)).first() is not None
