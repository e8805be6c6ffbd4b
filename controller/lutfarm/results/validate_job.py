"""From a table that somebody wants validated to the job that measures networks for it, and to what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lutfarm.lut import LatencyTable
from lutfarm.lut.verdict import LEAST_CALIBRATION
from lutfarm.results import validated_table
from lutfarm.results.job_table import table_of
from lutfarm.store import Job
from lutfarm.store.interface import JobStore, Store, job_called
from lutfarm.validation import StudyJob, Validated, find_study, plan_study, studies_of
from lutfarm_jobs.errors import SpecError, WrongState
from lutfarm_jobs.expand import read_definition, space_of
from lutfarm_jobs.job_file.workloads import SpaceWorkload
from lutfarm_jobs.spaces.base import Space
from lutfarm_jobs.spec import JobSpec, Study, stored_job

Definition = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TableToValidate:
    """A job, its table, and the space of its networks; `definition`: what its file says where it is a user's own."""

    job: Job
    table: LatencyTable
    space: Space
    definition: Definition | None = None


def table_to_validate(store: Store, job_id: str, space: str | None, folder: Path) -> TableToValidate:
    """`space`: its name or the path of its file, from `folder` on; None: the job's only one.  Raises SpecError."""
    job, _ = job_called(store, job_id)
    spec = stored_job(job.spec_json)
    if spec.validates is not None:
        raise SpecError(f"job {job.name} measured networks for the table of {spec.validates.job}; validate that one")
    definitions = {w.space: w.definition for w in spec.workloads if isinstance(w, SpaceWorkload)}
    if space is None and len(definitions) != 1:
        named = f"it has {', '.join(definitions)}" if definitions else "it names none"
        raise SpecError(f"job {job.name} has no one space to draw networks from ({named}); give --space")
    text = next(iter(definitions)) if space is None else space
    definition = definitions.get(text)  # the job's own copy, wherever its file is by now
    if definition is None and text.endswith((".yaml", ".yml")):
        if not (folder / text).is_file():
            raise SpecError(f"the space file {text} is not at {folder / text}; say with --space where it is")
        definition = read_definition(text, folder)
    return TableToValidate(job, table_of(store, job.id), space_of(text, definition, folder), definition)


def validation_spec(store: JobStore, asked: TableToValidate, *, networks: int, calibrate: int, seed: int = 0) -> JobSpec:
    """The job that measures the networks: the same that was asked for before, or a new one.  Raises SpecError."""
    require_enough(calibrate)
    wanted = Study(job=asked.job.id, networks=networks, calibrate=calibrate, seed=seed)
    known = studies_of(store, asked.job.id)
    same = find_study(known, wanted, asked.space.name)
    if same is not None:
        return same.spec
    return plan_study(asked.job, asked.table, asked.space, wanted, definition=asked.definition, studies=known)


def require_enough(calibrate: int) -> None:
    """Raises SpecError for so few networks that they could not calibrate anything."""
    if 0 < calibrate < LEAST_CALIBRATION:
        raise SpecError(
            f"calibrate: {calibrate} are too few: fewer than {LEAST_CALIBRATION} networks correct nothing. Give "
            f"{LEAST_CALIBRATION} or more, some above that where the machine may be busy, or leave it out"
        )


def validated_by(store: Store, job: Job) -> Validated:
    """What the networks of one job say of the table: as it is exported now, since new rounds tell more of the canary then.

    Raises WrongState for a job that validates nothing, SpecError where it measured too few networks.
    """
    study = StudyJob(job.id, stored_job(job.spec_json), job.created_s)
    if study.spec.validates is None:
        raise WrongState(f"{job.id} validates nothing: its table is what it came to")
    table = table_of(store, study.study.job)
    measured = {(m.device, m.backend.key) for m in store.measurements(job.id)}
    left = tuple(place for place in table.places if place not in measured)
    return Validated(validated_table.outcome(store, study, table), left)
