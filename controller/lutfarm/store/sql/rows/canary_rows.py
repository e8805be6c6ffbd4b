"""What rounds said of the canary, over SQLAlchemy Core."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from statistics import median

from sqlalchemy import Connection, Dialect, Executable, bindparam, select

from lutfarm.records.canary_round import CanaryRound, basis_of, shown_idle
from lutfarm.store.sql import encoding
from lutfarm.store.sql.database import Database
from lutfarm.store.sql.schema import canary_rounds, runs
from lutfarm.store.sql.upsert import insert
from lutfarm_jobs.measurement_key import MeasurementKey
from lutfarm_jobs.run import Run


class CanaryRows(Database):
    """The part of a store that knows how fast canaries were."""

    def canary_rounds(
        self, device: str, backend_key: str, conditions_key: str, *, after_s: float | None = None
    ) -> Sequence[CanaryRound]:
        """All rounds, oldest first; only those that began after a Unix time, where one is given.

        Of the same cores and clocks only, which the conditions name: another core's level is another.  However many there are:
        without the oldest, old runs would lose the reference that they were measured by (80,000 take 0.1 s to judge by).
        """
        query = (
            select(canary_rounds)
            .where(
                canary_rounds.c.device == device,
                canary_rounds.c.backend_key == backend_key,
                canary_rounds.c.conditions_key == conditions_key,
            )
            .order_by(canary_rounds.c.at_s, canary_rounds.c.round_id)
        )
        if after_s is not None:
            query = query.where(canary_rounds.c.at_s > after_s)
        with self._read() as db:
            rows = db.execute(query).all()
        bases = {text: basis_of(encoding.load_mapping(text)) for text in {row.basis for row in rows}}
        return [CanaryRound(row.at_s, row.level_ns, row.low_ns, row.idle, bases[row.basis]) for row in rows]

    def canaries_shown(self, device: str) -> Sequence[tuple[str, str]]:
        """The backends and conditions, as (backend key, conditions key), under which a device has shown a canary."""
        place = canary_rounds.c.backend_key, canary_rounds.c.conditions_key
        query = select(*place).where(canary_rounds.c.device == device).distinct().order_by(*place)
        with self._read() as db:
            return [(row.backend_key, row.conditions_key) for row in db.execute(query)]


_LEVELS = select(runs.c.canary_p10_ns, runs.c.canary_low_ns).where(
    runs.c.round_id == bindparam("round"), runs.c.canary_p10_ns.is_not(None)
)


@lru_cache
def _noted(dialect: Dialect) -> Executable:
    """Made once, as everything that each commit says: to put a statement together takes longer than to run it."""
    noted = insert(dialect, canary_rounds)
    others = {column.name: noted.excluded[column.name] for column in canary_rounds.columns if not column.primary_key}
    return noted.on_conflict_do_update(index_elements=["round_id"], set_=others)


def keep_round(db: Connection, run: Run) -> None:
    """Note what the round of a run says of the canary, from all of its runs that are stored by now."""
    levels = [(p10_ns, low_ns) for p10_ns, low_ns in db.execute(_LEVELS, {"round": run.round_id})]
    if not levels:  # a tool shows no canary
        return
    backend, conditions = MeasurementKey.parse(run.key).canary
    lows = [low_ns for _, low_ns in levels if low_ns is not None]
    values = {
        "round_id": run.round_id,
        "device": run.device,
        "backend_key": backend,
        "conditions_key": conditions,
        "at_s": run.started_s,
        "level_ns": round(median(p10_ns for p10_ns, _ in levels)),
        "low_ns": round(median(lows)) if lows else None,
        "idle": shown_idle(run.before, run.after),
        "basis": encoding.to_json(dict(basis_of(run.fingerprint))),
    }
    db.execute(_noted(db.dialect), values)
