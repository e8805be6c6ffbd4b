"""Reads the stored runs of a table's network studies: what `lut validate` measured, and what it says today.

The outcome is derived from the raw runs whenever it is asked for, as the table is: nothing of it is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from lutfarm.lut import Calibration, LatencyTable, Refusal, Validation
from lutfarm.lut.schema.validation_record import MOST_REASON, Uncalibrated
from lutfarm.results.job_entries import judged
from lutfarm.results.job_table import table_of
from lutfarm.statistics import sample
from lutfarm.store.interface import JobStore, Store
from lutfarm.validation import (
    MeasuredNetworks,
    StudyJob,
    StudyOnTable,
    ValidationOutcome,
    calibration_for,
    outcome_of,
    studies_of,
)
from lutfarm.validation.outcome import ProcessEstimates, validation_or_refusal
from lutfarm_jobs.errors import RunsDisagree, SpecError
from lutfarm_jobs.measurement import Measurement, Place

_Named = tuple[Place, str]  # where, and the space's name


def validated_table(
    store: Store, job_id: str, *, pool: str | None = None, device: str | None = None, backend: str | None = None
) -> LatencyTable:
    """The table of a job with what its studies say of it; of one device, one backend, or both, where they are given.

    Each device and backend has its own validation and calibration for each space: those of the newest study that has any.
    See tables.table_of for the rest and for what is raised.
    """
    table = table_of(store, job_id, pool=pool)
    if device or backend:
        table = table.select(device=device, backend=backend)
    studies = [_Study(store, study, table) for study in reversed(_readable(store, table))]
    calibrations: dict[_Named, Calibration] = {}
    uncalibrated: dict[_Named, Uncalibrated] = {}
    for one in studies:
        for named in one.named if one.study.study.calibrate else ():
            made = None if named in calibrations else _calibration(one, named[0])
            if isinstance(made, Calibration):
                calibrations[named] = made
            elif made is not None:
                uncalibrated.setdefault(named, made)  # the newest study's
    validations: dict[_Named, Validation] = {}
    refusals: dict[_Named, Refusal] = {}
    for one in studies:
        for named in [named for named in one.named if named not in validations]:
            made = _validation(one, named[0], calibrations.get(named))
            if isinstance(made, Validation):
                validations[named] = made
            else:
                (device_, backend_), space = named
                refusals.setdefault(named, Refusal(device_, backend_, space, made[:MOST_REASON]))  # the newest study's
    left = [one for named, one in refusals.items() if named not in validations]
    lacking = [one for named, one in uncalibrated.items() if named not in calibrations]
    return table.with_validations(tuple(validations.values()), left).with_calibrations(
        tuple(calibrations.values()), uncalibrated=lacking
    )


def outcome(store: Store, study: StudyJob, table: LatencyTable) -> ValidationOutcome:
    """What one study says of a table, calibrated on its own networks.  Raises SpecError: it measured too few networks."""
    opened = _Study(store, study, table)
    calibrations = {place: made for place in opened.on_table.places if (made := _calibration(opened, place))}
    return outcome_of(opened.on_table, calibrations)


@dataclass(frozen=True)
class _Study:
    """A study; its runs are read when they are first asked for."""

    store: Store
    study: StudyJob
    table: LatencyTable

    @cached_property
    def plan(self) -> Sequence[Measurement]:
        """Where the table has entries."""
        return [m for m in self.store.measurements(self.study.id) if (m.device, m.backend.key) in self.table.places]

    @property
    def named(self) -> list[_Named]:
        """The places of its plan, each with the space's name."""
        return list(dict.fromkeys(((m.device, m.backend.key), self.study.space_name) for m in self.plan))

    @cached_property
    def on_table(self) -> StudyOnTable:
        """Against the table as it is without any calibration.

        Raises RunsDisagree where its networks were measured in part before and in part after an upgrade.
        """
        studies = studies_of(self.store, self.table.manifest.job_id)
        first = next((one for one in studies if one.space_name == self.study.space_name), self.study)
        return StudyOnTable(
            self.study,
            self.table.with_calibrations(()),
            self.study.space,
            _measured(self.store, self.study),
            self.plan,
            None if first.id == self.study.id else _measured_or_why(self.store, first),
        )


def _readable(store: JobStore, table: LatencyTable) -> list[StudyJob]:
    """Without studies of before they carried their space: its file may be anywhere, or another one by now."""
    studies: list[StudyJob] = []
    for study in studies_of(store, table.manifest.job_id):
        try:
            known = study.space.name == study.space_name
        except SpecError:
            known = False
        studies += [study] if known else []
    return studies


def _calibration(study: _Study, place: Place) -> Calibration | Uncalibrated | None:
    try:
        return calibration_for(study.on_table, place)
    except RunsDisagree:  # validating says so
        return None


def _validation(study: _Study, place: Place, calibration: Calibration | None) -> Validation | str:
    """Or why there is none."""
    try:
        on_table = study.on_table
    except RunsDisagree as error:
        return error.detail
    return validation_or_refusal(on_table, place, calibration)


def _measured(store: Store, study: StudyJob) -> MeasuredNetworks:
    return MeasuredNetworks(table_of(store, study.id), estimates_of(store, study.id))


def _measured_or_why(store: Store, study: StudyJob) -> MeasuredNetworks | str:
    try:
        return _measured(store, study)
    except RunsDisagree as error:
        return error.detail


def estimates_of(store: Store, job_id: str) -> ProcessEstimates:
    """By measurement key and round: the estimate of each run of a job, in ns."""
    estimates: dict[str, dict[str, float]] = {}
    for key, runs in groupby(judged(store, job_id), key=lambda run: run.key):
        counted = sample(run for run in runs if run.status != "failed")
        if counted is not None:
            estimates[key] = dict(counted.estimates_by_round)
    return estimates
