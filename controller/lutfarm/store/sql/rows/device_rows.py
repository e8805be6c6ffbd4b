"""Devices, their states, their history and checks, over SQLAlchemy Core.  See lutfarm.records.device_state for what they mean."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from lutfarm.records.device_state import DeviceEvent, DeviceRecord, Transition, settled, step
from lutfarm.records.lease_holder import LeaseHolder
from lutfarm.store.sql import encoding
from lutfarm.store.sql.database import Database
from lutfarm.store.sql.schema import device_checks, device_states, device_transitions, devices, leases
from lutfarm_agents.device import Device, Hello
from lutfarm_agents.health.check import HealthReport
from lutfarm_agents.process_identity import has_ended
from lutfarm_jobs.errors import StoreError


class DeviceRows(Database):
    """The part of a store that knows devices and how they are."""

    def put_device(self, device: Device) -> None:
        with self._write() as db:
            content = encoding.dump_device(device)
            if not db.execute(update(devices).where(devices.c.name == device.name).values(content=content)).rowcount:
                db.execute(insert(devices).values(name=device.name, content=content))

    def device(self, name: str) -> Device | None:
        with self._read() as db:
            content = db.execute(select(devices.c.content).where(devices.c.name == name)).scalar()
        return None if content is None else encoding.load_device(content)

    def devices(self) -> Sequence[Device]:
        with self._read() as db:
            found = db.execute(select(devices.c.content).order_by(devices.c.name)).scalars().all()
        return [encoding.load_device(content) for content in found]

    def put_hello(self, device: str, hello: Hello, seen_s: float) -> None:
        with self._write() as db:
            db.execute(update(devices).where(devices.c.name == device).values(hello=encoding.dump(hello), seen_s=seen_s))

    def hello(self, device: str) -> tuple[Hello, float] | None:
        with self._read() as db:
            row = db.execute(select(devices.c.hello, devices.c.seen_s).where(devices.c.name == device)).first()
        return None if row is None or row.hello is None else (encoding.load_hello(row.hello), row.seen_s)

    def device_record(self, device: str, now_s: float) -> DeviceRecord:
        """How the device is; `new` where nothing happened to it yet."""
        with self._read() as db:
            return settled(_record(db, device), now_s, held=holder_of(db, device, now_s) is not None)

    def step_device(self, device: str, event: DeviceEvent, now_s: float) -> DeviceRecord:
        """Apply an event and keep it in the history where it changed something.  Raises SpecError where it is refused."""
        with self._write() as db:
            stored = _record(db, device, lock=True)
            before = settled(stored, now_s, held=holder_of(db, device, now_s) is not None)
            after = step(before, event, now_s)
            if after == stored:
                return after
            _put(db, after)
            if (after.state, after.reason) != (stored.state, stored.reason):
                keep_transition(db, device, Transition(now_s, event.kind, stored.state, after.state, after.reason))
        return after

    def device_history(self, device: str, *, most: int = 50) -> Sequence[Transition]:
        query = (
            select(device_transitions)
            .where(device_transitions.c.device == device)
            .order_by(device_transitions.c.position.desc())
            .limit(most)
        )
        with self._read() as db:
            rows = db.execute(query).all()
        return [Transition(row.at_s, row.event, row.before, row.after, row.reason) for row in reversed(rows)]

    def heat_waits(self, device: str) -> int:
        query = (
            select(func.count())
            .select_from(device_transitions)
            .where(
                device_transitions.c.device == device,
                device_transitions.c.event == "too hot",
                device_transitions.c.before != "cooling",
                device_transitions.c.after == "cooling",
            )
        )
        with self._read() as db:
            return db.execute(query).scalar_one()

    def lease_holder(self, device: str, now_s: float) -> LeaseHolder | None:
        with self._read() as db:
            return holder_of(db, device, now_s)

    def put_check(self, report: HealthReport) -> None:
        with self._write() as db:
            position = db.execute(
                select(func.count()).where(device_checks.c.device == report.device).select_from(device_checks)
            ).scalar_one()
            db.execute(
                insert(device_checks).values(
                    device=report.device,
                    position=position,
                    checked_s=report.checked_s,
                    fit=report.fit,
                    content=encoding.dump(report),
                )
            )

    def checks(self, device: str, *, most: int = 20) -> Sequence[HealthReport]:
        query = (
            select(device_checks.c.content)
            .where(device_checks.c.device == device)
            .order_by(device_checks.c.position.desc())
            .limit(most)
        )
        with self._read() as db:
            found = db.execute(query).scalars().all()
        return [encoding.load_report(content) for content in reversed(found)]


def keep_transition(db: Connection, device: str, happened: Transition) -> None:
    """One more line of a device's history."""
    earlier = select(func.count()).select_from(device_transitions).where(device_transitions.c.device == device)
    values = {"device": device, "position": db.execute(earlier).scalar_one(), **asdict(happened)}
    db.execute(insert(device_transitions).values(**values))


def _record(db: Connection, device: str, *, lock: bool = False) -> DeviceRecord:
    query = select(device_states).where(device_states.c.device == device)
    row: Row[Any] | None = db.execute(query.with_for_update() if lock else query).first()
    if row is None:
        return DeviceRecord(device)
    try:
        reboots_s = tuple(float(at_s) for at_s in json.loads(row.reboots_s))
    except (ValueError, TypeError) as error:
        raise StoreError(f"{device}: its stored state is damaged: {error}") from error
    return DeviceRecord(
        device, row.state, row.reason, row.since_s, row.until_s, row.checked_s, row.fit, row.boot_id, reboots_s, row.code
    )


def _put(db: Connection, record: DeviceRecord) -> None:
    values = {
        "state": record.state,
        "reason": record.reason,
        "code": record.code,
        "since_s": record.since_s,
        "until_s": record.until_s,
        "checked_s": record.checked_s,
        "fit": record.fit,
        "boot_id": record.boot_id,
        "reboots_s": encoding.to_json(list(record.reboots_s)),
    }
    if not db.execute(update(device_states).where(device_states.c.device == record.device).values(**values)).rowcount:
        db.execute(insert(device_states).values(device=record.device, **values))


def holder_of(db: Connection, device: str, now_s: float) -> LeaseHolder | None:
    """Who holds its lease; None where nobody does."""
    row = db.execute(select(leases).where(leases.c.device == device)).first()
    if row is None or not row.owner or row.expires_s <= now_s or has_ended(row.owner):
        return None
    return LeaseHolder(str(row.holder), float(row.expires_s), str(row.job_id))
