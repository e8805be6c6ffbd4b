"""Is all of a store sound?  Over SQLAlchemy Core."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, Table, exists, func, select, text

from lutfarm.store.sql import encoding
from lutfarm.store.sql.database import Database
from lutfarm.store.sql.row_types import checked, odd_truths
from lutfarm.store.sql.schema import jobs, metadata, queued_jobs
from lutfarm.store.sql.slice_blob import decode_slices
from lutfarm_jobs.errors import FarmError, SpecError
from lutfarm_jobs.measurement_key import MeasurementKey
from lutfarm_jobs.spec import stored_job

ROWS = 200
MOST_FAULTS = 1000


@dataclass(frozen=True, slots=True)
class Fault:
    """`where`: a table, and which row of it."""

    where: str
    what: str


class Checking(Database):
    """The part of a store that looks at itself."""

    def faults(self) -> Iterator[Fault]:
        """What is wrong with the database's files, with links between tables, and with what rows hold; all of it is read.

        The first thousand.  Raises StoreError where the database itself can't go on.
        """
        for number, fault in enumerate(self._all(), start=1):
            yield fault
            if number == MOST_FAULTS:
                yield Fault("", f"that is {MOST_FAULTS} faults: no more are looked for")
                return

    def row_counts(self) -> dict[str, int]:
        """By table."""
        with self._read() as db:
            return {
                table.name: db.execute(select(func.count()).select_from(table)).scalar_one() for table in metadata.sorted_tables
            }

    def _all(self) -> Iterator[Fault]:
        yield from self._of_files()
        for table in metadata.sorted_tables:
            yield from self._links(table)
        for table in metadata.sorted_tables:
            yield from self._contents(table, _CHECKS.get(table.name, lambda _: ""))
        waiting: Select[Any] = select(*jobs.columns).join(queued_jobs).where(jobs.c.state.not_in(("queued", "open")))
        for row in self._rows(waiting):
            yield Fault(f"jobs {row.id}", f"it is in the queue although it is {row.state}")

    def _of_files(self) -> Iterator[Fault]:
        with self._read() as db:
            if db.dialect.name == "sqlite":
                found = [said for (said,) in db.execute(text("PRAGMA integrity_check(100)"))]
                yield from (Fault("the file", str(said)) for said in found if said != "ok")
                for table, column, query in odd_truths():
                    if odd := db.execute(text(query)).scalar_one():
                        yield Fault(table, f"{column} is neither true nor false in {odd} rows")

    def _links(self, table: Table) -> Iterator[Fault]:
        for key in table.foreign_keys:
            there = select(key.column).where(key.column == key.parent).correlate(table)
            lost = select(*table.primary_key).where(key.parent.is_not(None), ~exists(there))
            for row in self._rows(lost):
                yield Fault(f"{table.name} {_name(row)}", f"its {key.parent.name} is not in {key.column.table.name}")

    def _contents(self, table: Table, check: Callable[[Row[Any]], str]) -> Iterator[Fault]:
        names = [column.name for column in table.primary_key]
        for row in self._rows(select(table).order_by(*table.primary_key)):
            try:
                checked(table, row._mapping)  # pyright: ignore[reportPrivateUsage]  SQLAlchemy's public way to a row's names
                what = check(row)
            except FarmError as error:
                what = error.detail
            if what:
                yield Fault(f"{table.name} {'/'.join(str(getattr(row, name)) for name in names)}", what)

    def _rows(self, query: Select[Any]) -> Iterator[Row[Any]]:
        with self._read() as db, db.execute(query, execution_options={"yield_per": ROWS}) as rows:
            yield from rows


def _name(row: Row[Any]) -> str:
    return "/".join(map(str, row))


def _device(row: Row[Any]) -> str:
    if row.hello is not None:
        encoding.load_hello(row.hello)
    return "" if encoding.load_device(row.content).name == row.name else "it holds another device"


def _job(row: Row[Any]) -> str:
    encoding.load_list(row.zeros)
    stored_job(row.spec_json)
    return ""


def _measurement(row: Row[Any]) -> str:
    return "" if encoding.load_measurement(row.content).key == row.key else "its key is that of another measurement"


def _hashed(row: Row[Any]) -> str:
    same = hashlib.sha256(row.content.encode()).hexdigest() == row.hash
    return "" if same else "its content does not have its checksum"


def _fingerprint(row: Row[Any]) -> str:
    encoding.load_mapping(row.content)
    return _hashed(row)


def _environment(row: Row[Any]) -> str:
    encoding.load_environment(row.content)
    return _hashed(row)


def _run(row: Row[Any]) -> str:
    columns = {name: getattr(row, name) for name in encoding.RUN_COLUMNS}
    try:
        device = MeasurementKey.parse(row.key).device
    except SpecError as error:
        return error.detail
    encoding.load_run(row.content, **columns, fingerprint={}, before=None, after=None, slices=decode_slices(row.slices))
    return "" if device == row.device else f"its key is of {device}, and it ran on {row.device}"


def _probe(row: Row[Any]) -> str:
    return "" if encoding.load_probe(row.content, {}).key == row.key else "its key is that of another probe"


def _report(row: Row[Any]) -> str:
    return "" if encoding.load_report(row.content).device == row.device else "it is of another device"


_CHECKS: Mapping[str, Callable[[Row[Any]], str]] = {
    "devices": _device,
    "jobs": _job,
    "measurements": _measurement,
    "fingerprints": _fingerprint,
    "environments": _environment,
    "runs": _run,
    "probes": _probe,
    "device_checks": _report,
}
