"""Takes a job out of the store, over SQLAlchemy Core."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, Table, delete, func, select, union

from lutfarm.records.job import JobRemoved
from lutfarm.store.sql.database import Database
from lutfarm.store.sql.rows.queue_rows import is_queued
from lutfarm.store.sql.schema import environments, job_probes, job_runs, jobs, leases, measurements, probes, runs
from lutfarm_agents.process_identity import has_ended
from lutfarm_jobs.errors import WrongState

BATCH = 500  # rows in one IN (...)


class JobRemoval(Database):
    """The part of a store that forgets a job."""

    def remove_job(self, job_id: str, now_s: float) -> JobRemoved:
        with self._write() as db:
            _refuse_running(db, job_id, now_s)
            if is_queued(db, job_id):
                raise WrongState(f"{job_id} is in the queue of the served farm: cancel it first")
            linked = set(db.execute(select(job_runs.c.run).where(job_runs.c.job_id == job_id)).scalars())
            probed = set(db.execute(select(job_probes.c.key).where(job_probes.c.job_id == job_id)).scalars())
            planned = db.execute(select(func.count()).where(measurements.c.job_id == job_id)).scalar_one()
            for table in (job_runs, job_probes, measurements):
                db.execute(delete(table).where(table.c.job_id == job_id))
            db.execute(delete(jobs).where(jobs.c.id == job_id))
            gone = _removed(db, runs, runs.c.number, sorted(linked), unread=runs.c.number.not_in(select(job_runs.c.run)))
            probes_gone = _removed(db, probes, probes.c.key, sorted(probed), unread=probes.c.key.not_in(select(job_probes.c.key)))
            if gone:
                used = union(*(select(moment).where(moment.is_not(None)) for moment in (runs.c.before, runs.c.after)))
                db.execute(delete(environments).where(environments.c.number.not_in(used)))
        return JobRemoved(planned, gone, len(linked) - gone, probes_gone)


def _refuse_running(db: Connection, job_id: str, now_s: float) -> None:
    held = db.execute(select(leases).where(leases.c.job_id == job_id, leases.c.expires_s > now_s).order_by(leases.c.device))
    if devices := [row.device for row in held if row.owner and not has_ended(row.owner)]:
        raise WrongState(f"{job_id} is running: it holds {', '.join(devices)}; end that run first")


def _removed(
    db: Connection,
    table: Table,
    column: ColumnElement[int] | ColumnElement[str],
    values: Sequence[int | str],
    *,
    unread: ColumnElement[bool],
) -> int:
    batches = [values[at : at + BATCH] for at in range(0, len(values), BATCH)]
    return sum(db.execute(delete(table).where(column.in_(batch), unread)).rowcount for batch in batches)
