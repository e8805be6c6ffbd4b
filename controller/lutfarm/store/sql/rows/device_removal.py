"""Takes a device out of the store, over SQLAlchemy Core."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from lutfarm.records.device_state import Transition
from lutfarm.store.sql.database import Database
from lutfarm.store.sql.rows.device_rows import holder_of, keep_transition
from lutfarm.store.sql.schema import device_states, devices, measurements, queued_jobs
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.measurement_key import MeasurementKey

MOST_NAMED = 5


class DeviceRemoval(Database):
    """The part of a store that forgets a device."""

    def remove_device(self, name: str, now_s: float) -> None:
        with self._write() as db:
            if db.execute(select(devices.c.name).where(devices.c.name == name)).first() is None:
                raise SpecError(f"no device is called {name[:80]!r}; see lutfarm device list")
            _refuse_used(db, name, now_s)
            state = db.execute(select(device_states.c.state).where(device_states.c.device == name)).scalar() or "new"
            for table, column in ((devices, devices.c.name), (device_states, device_states.c.device)):
                db.execute(delete(table).where(column == name))
            keep_transition(db, name, Transition(now_s, "removed", state, "new", "no device of this name is registered any more"))


def _refuse_used(db: Connection, name: str, now_s: float) -> None:
    held = holder_of(db, name, now_s)
    if held is not None:
        raise SpecError(f"{name} is in use by {held.words}: end that first, or retire the device: lutfarm device retire {name}")
    planned = select(measurements.c.job_id, measurements.c.key).join(queued_jobs, queued_jobs.c.job_id == measurements.c.job_id)
    waiting = sorted({row.job_id for row in db.execute(planned) if MeasurementKey.parse(row.key).device == name})
    if waiting:
        more = f" and {len(waiting) - MOST_NAMED} more" if len(waiting) > MOST_NAMED else ""
        raise SpecError(f"{', '.join(waiting[:MOST_NAMED])}{more} in the queue would measure on {name}: cancel them first")
