"""SqlStore: the Store protocol over SQLAlchemy Core, put together of its parts; and the farm that it is of."""

from __future__ import annotations

import uuid
from tempfile import TemporaryDirectory

from sqlalchemy import Engine, insert, select

from lutfarm.store.sql.checking import Checking
from lutfarm.store.sql.copying import Copying
from lutfarm.store.sql.rows.canary_rows import CanaryRows
from lutfarm.store.sql.rows.device_removal import DeviceRemoval
from lutfarm.store.sql.rows.device_rows import DeviceRows
from lutfarm.store.sql.rows.job_removal import JobRemoval
from lutfarm.store.sql.rows.job_rows import JobRows
from lutfarm.store.sql.rows.lease_rows import LeaseRows
from lutfarm.store.sql.rows.queue_rows import QueueRows
from lutfarm.store.sql.rows.run_rows import RunRows
from lutfarm.store.sql.rows.token_rows import TokenRows
from lutfarm.store.sql.schema import farms


class SqlStore(
    DeviceRows, DeviceRemoval, JobRows, JobRemoval, QueueRows, TokenRows, LeaseRows, RunRows, CanaryRows, Checking, Copying
):
    """A store in one database: see interface.py for what each method does.  A context manager; leaving it closes the database."""

    def __init__(self, engine: Engine, place: str, *, copies: TemporaryDirectory[str] | None = None) -> None:
        super().__init__(engine, place, copies)
        with self._read() as db:
            known = db.execute(select(farms.c.id)).scalar()
        self._farm_id = known or self._named()

    def _named(self) -> str:
        """Another process may have given the name meanwhile."""
        with self._write() as db:
            known = db.execute(select(farms.c.id)).scalar()
            if known is None:
                known = uuid.uuid4().hex
                db.execute(insert(farms).values(id=known))
        return known

    @property
    def farm_id(self) -> str:
        """32 hex digits made with the store."""
        return self._farm_id
