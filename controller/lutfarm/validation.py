"""Holds a table against the whole networks that were measured beside it.  Pure."""

from __future__ import annotations

from lutfarm.lut import Entry, LatencyTable, Validation, compare
from lutfarm.report import NetworkRow
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.spaces.base import Space


def validate_networks(
    table: LatencyTable, space: Space, *, backend: str
) -> tuple[tuple[NetworkRow, ...], Validation]:
    """The space's networks in the table, predicted from its operators; and how far off that is.

    Raises SpecError where no network was measured, MissingEntry where an operator lacks.
    """
    part = table.select(backend=backend)
    prefix = f"network:{space.name}:"
    networks = [e for e in part.entries if e.kind == "measured" and e.workload_key.startswith(prefix)]
    if not networks:
        raise SpecError(f"no network of {space.name} was measured with {backend}; give the job more device time")
    rows = tuple(_row(part, space, entry, entry.workload_key.removeprefix(prefix)) for entry in networks)
    validation = compare(
        [row.predicted_ns for row in rows],
        [row.measured_ns for row in rows],
        unit=networks[0].unit,
        backend_key=backend,
        space=space.name,
    )
    return rows, validation


def _row(table: LatencyTable, space: Space, entry: Entry, arch: str) -> NetworkRow:
    predicted = table.predict(space, space.parse(arch))
    return NetworkRow(
        name=arch,
        unit=entry.unit,
        backend=entry.backend_key,
        predicted_ns=predicted.latency_ns,
        measured_ns=entry.estimate_ns or 0.0,
        predicted_low_ns=predicted.low_ns,
        predicted_high_ns=predicted.high_ns,
        measured_low_ns=entry.low_ns,
        measured_high_ns=entry.high_ns,
    )
