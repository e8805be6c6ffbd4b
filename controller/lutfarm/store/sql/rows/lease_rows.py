"""Leases of devices, over SQLAlchemy Core."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import ColumnElement, Connection, bindparam, insert, select, update

from lutfarm.store.sql.database import Database
from lutfarm.store.sql.schema import leases
from lutfarm_agents.process_identity import has_ended
from lutfarm_jobs.errors import LeaseLost
from lutfarm_jobs.round import Lease


class LeaseRows(Database):
    """The part of a store that says who may use a device."""

    def acquire(self, device: str, *, owner: str, holder: str, now_s: float, ttl_s: float, job_id: str = "") -> Lease | str:
        """A lease with the next token, or the readable holder of the one that is in force."""
        with self._write() as db:
            row = db.execute(select(leases).where(leases.c.device == device)).first()
            if row is not None and row.owner not in ("", owner):
                in_force = row.expires_s > now_s and not has_ended(row.owner)
                if in_force:
                    return str(row.holder)
            token = 1 if row is None else row.token + 1
            values = {"token": token, "owner": owner, "holder": holder, "expires_s": now_s + ttl_s, "job_id": job_id}
            if row is None:
                db.execute(insert(leases).values(device=device, **values))
            else:
                db.execute(update(leases).where(leases.c.device == device).values(**values))
        return Lease(device, token, owner, now_s + ttl_s)

    def renew(self, lease: Lease, *, now_s: float, ttl_s: float, job_id: str | None = None) -> Lease:
        job = {} if job_id is None else {"job_id": job_id}
        with self._write() as db:
            changed = db.execute(update(leases).where(*_held(lease)).values(expires_s=now_s + ttl_s, **job))
            if not changed.rowcount:
                raise LeaseLost(f"{lease.device}: the lease passed to another run; this one stops, nothing is lost")
        return replace(lease, expires_s=now_s + ttl_s)

    def release(self, lease: Lease) -> None:
        with self._write() as db:
            db.execute(update(leases).where(*_held(lease)).values(owner="", holder="", job_id=""))


# An update, not a look: it takes the row's lock in any database.
_FENCE = (
    update(leases)
    .where(leases.c.device == bindparam("of"), leases.c.token == bindparam("given"), leases.c.owner == bindparam("by"))
    .values(committed_token=leases.c.token)
)


def fence(db: Connection, lease: Lease) -> None:
    """Raises LeaseLost where it is not in force any more, before anything is written."""
    held = {"of": lease.device, "given": lease.token, "by": lease.owner}
    if not db.execute(_FENCE, held).rowcount:
        raise LeaseLost(f"{lease.device}: the lease passed to another run; its late result was refused")


def committed_token(db: Connection, lease: Lease) -> int:
    """The newest token under which anything was committed of the device.  Raises LeaseLost as `fence`, whose lock it takes."""
    if not db.execute(update(leases).where(*_held(lease)).values(token=lease.token)).rowcount:
        raise LeaseLost(f"{lease.device}: the lease passed to another run; it commits what was left")
    return int(db.execute(select(leases.c.committed_token).where(leases.c.device == lease.device)).scalar_one())


def keep_committed(db: Connection, device: str, token: int) -> None:
    """That something was committed under a token, which is no older than the newest so far."""
    db.execute(update(leases).where(leases.c.device == device).values(committed_token=token))


def _held(lease: Lease) -> tuple[ColumnElement[bool], ...]:
    return leases.c.device == lease.device, leases.c.token == lease.token, leases.c.owner == lease.owner
