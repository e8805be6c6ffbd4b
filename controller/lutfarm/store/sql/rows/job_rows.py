"""Jobs and what they plan to measure, over SQLAlchemy Core."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, and_, exists, func, insert, or_, select, update

from lutfarm.records.job import Job, JobCounts, JobState
from lutfarm.store.sql import encoding
from lutfarm.store.sql.database import Database
from lutfarm.store.sql.schema import IS_FAILED, job_probes, job_runs, jobs, measurements, runs
from lutfarm_jobs.measurement import Measurement


class JobRows(Database):
    """The part of a store that knows jobs and their plans."""

    def open_job(self, job: Job, plan: Sequence[Measurement]) -> Job:
        with self._write() as db:
            row = db.execute(select(jobs).where(jobs.c.id == job.id)).first()
            if row is not None:
                if row.spec_json != job.spec_json:
                    db.execute(update(jobs).where(jobs.c.id == job.id).values(spec_json=job.spec_json))
                return replace(_job(row), spec_json=job.spec_json)
            db.execute(
                insert(jobs).values(
                    id=job.id,
                    name=job.name,
                    spec_json=job.spec_json,
                    created_s=job.created_s,
                    state=job.state,
                    reason=job.reason,
                    zeros=encoding.to_json(list(job.zeros)),
                    user=job.user,
                    priority=job.priority,
                )
            )
            _plan(db, job.id, plan, first=0)
        return job

    def extend_plan(self, job_id: str, plan: Sequence[Measurement]) -> None:
        """Append what the job's plan does not have yet."""
        with self._write() as db:
            known = set(db.execute(select(measurements.c.key).where(measurements.c.job_id == job_id)).scalars())
            _plan(db, job_id, [m for m in plan if m.key not in known], first=len(known))

    def close_job(self, job_id: str, state: JobState, reason: str = "") -> None:
        with self._write() as db:
            db.execute(update(jobs).where(jobs.c.id == job_id).values(state=state, reason=reason))

    def jobs(
        self, *, most: int | None = None, after: tuple[float, str] | None = None, states: Collection[JobState] | None = None
    ) -> Sequence[tuple[Job, JobCounts]]:
        query = select(jobs).order_by(jobs.c.created_s.desc(), jobs.c.id).limit(most)
        if after is not None:
            created_s, job_id = after
            query = query.where(or_(jobs.c.created_s < created_s, and_(jobs.c.created_s == created_s, jobs.c.id > job_id)))
        if states is not None:
            query = query.where(jobs.c.state.in_(states))
        with self._read() as db:
            rows = db.execute(query).all()
            return [(_job(row), _counts(db, row.id)) for row in rows]

    def job(self, job_id: str) -> tuple[Job, JobCounts] | None:
        """One, by its id, its name (the newest), or the start of its id where that is unique."""
        with self._read() as db:
            by_time = select(jobs).order_by(jobs.c.created_s.desc(), jobs.c.id)
            row = (
                db.execute(by_time.where(jobs.c.id == job_id)).first() or db.execute(by_time.where(jobs.c.name == job_id)).first()
            )
            if row is None and job_id:
                found = db.execute(by_time.where(func.substr(jobs.c.id, 1, len(job_id)) == job_id).limit(2)).all()
                row = found[0] if len(found) == 1 else None
            return None if row is None else (_job(row), _counts(db, row.id))

    def measurements(self, job_id: str) -> Sequence[Measurement]:
        with self._read() as db:
            found = (
                db.execute(
                    select(measurements.c.content).where(measurements.c.job_id == job_id).order_by(measurements.c.position)
                )
                .scalars()
                .all()
            )
        return [encoding.load_measurement(content) for content in found]


def _plan(db: Connection, job_id: str, plan: Sequence[Measurement], *, first: int) -> None:
    if plan:
        rows = [{"job_id": job_id, "key": m.key, "content": encoding.dump(m)} for m in plan]
        db.execute(insert(measurements), [row | {"position": at} for at, row in enumerate(rows, start=first)])


def _job(row: Row[Any]) -> Job:
    zeros = encoding.load_list(row.zeros)
    return Job(row.id, row.name, row.spec_json, row.created_s, row.state, row.reason, zeros, row.user, row.priority)


def _counts(db: Connection, job_id: str) -> JobCounts:
    mine = job_runs.c.job_id == job_id
    linked = select(func.count(), func.count(1).filter(job_runs.c.reused)).select_from(job_runs).where(mine)
    # From the few that failed: who asks how far a job is has no time for all of its runs.
    failed_runs = select(func.count(func.distinct(runs.c.key))).where(
        IS_FAILED, exists().where(mine, job_runs.c.run == runs.c.number)
    )
    failed_probes = select(func.count()).select_from(job_probes).where(job_probes.c.job_id == job_id, job_probes.c.failed)
    planned = select(func.count()).select_from(measurements).where(measurements.c.job_id == job_id)
    count, reused = db.execute(linked).one()
    return JobCounts(
        measurements=db.execute(planned).scalar_one(),
        runs=count,
        reused_runs=reused,
        failures=db.execute(failed_runs).scalar_one() + db.execute(failed_probes).scalar_one(),
    )
