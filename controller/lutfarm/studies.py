"""Reads the stored runs of a table's network studies: what `lut validate` measured, and what it says today.

The outcome is derived from the raw runs whenever it is asked for, as the table is: nothing of it is stored.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from lutfarm.lut import LatencyTable
from lutfarm.networks import Outcome, outcome_of, studies_of
from lutfarm.networks.outcome import Levels, Measured
from lutfarm.networks.study import StudyJob
from lutfarm.statistics import sample
from lutfarm.store.base import Store
from lutfarm.tables import judged, table_of
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.expand import load_space


def validated_table(
    store: Store, job_id: str, *, pool: str | None = None, unit: str | None = None, backend: str | None = None
) -> LatencyTable:
    """The table of a job with what its newest study says of it; of one device, one backend, or both, where they are given.

    A table of several places carries the worst of their validations; select one to see its own.  See tables.table_of for
    the rest and for what is raised.
    """
    table = table_of(store, job_id, pool=pool)
    if unit or backend:
        table = table.select(unit=unit, backend=backend)
    outcome = newest_outcome(store, table)
    found = [place.validation for place in outcome.places if (place.unit, place.backend_key) in table.places] if outcome else []
    return table.with_validation(max(found, key=lambda one: one.mape)) if found else table


def newest_outcome(store: Store, table: LatencyTable) -> Outcome | None:
    """What the newest study says that has something to say; None where there is none."""
    for study in reversed(studies_of(store, table.manifest.job_id)):
        try:
            return outcome(store, study, table)
        except SpecError:                          # broken off before two networks were measured, or its space file is gone
            continue
    return None


def outcome(store: Store, study: StudyJob, table: LatencyTable) -> Outcome:
    """What one study says of a table.  Raises SpecError where its space can't be read or it measured too few networks."""
    studies = studies_of(store, table.manifest.job_id)
    first = next((one for one in studies if one.space == study.space), study)
    space = load_space(study.space, Path("/"))
    plan = [m for m in store.measurements(study.id) if (m.unit, m.backend.key) in table.places]
    return outcome_of(
        table.manifest.job_id, study, table, space, _measured(store, study),
        plan=plan, first=None if first.id == study.id else _measured(store, first),
    )


def _measured(store: Store, study: StudyJob) -> Measured:
    return Measured(table_of(store, study.id), levels_of(store, study.id))


def levels_of(store: Store, job_id: str) -> Levels:
    """By measurement key and round: the level of each process of a job, in ns."""
    found: dict[str, dict[str, float]] = {}
    for key, runs in groupby(judged(store, job_id), key=lambda run: run.key):
        one = sample(run for run in runs if run.status != "failed")
        if one is not None:
            found[key] = dict(one.levels_by_round)
    return found
