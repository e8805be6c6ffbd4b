"""The job that measures whole networks for another job's table: derived once, found again afterwards."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lutfarm.lut import LatencyTable
from lutfarm.lut.prediction.predict_many import IntArray
from lutfarm.lut.prediction.predict_network import MissingEntry
from lutfarm.records.job import Job
from lutfarm.statistics.samples.process import FloatArray
from lutfarm.store.interface import JobStore
from lutfarm.validation.draw import PredictNs, draw
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.expand import space_of
from lutfarm_jobs.job_file.measuring import BackendChoice, SamplingPlan
from lutfarm_jobs.job_file.workloads import SpaceWorkload
from lutfarm_jobs.measurement_key import named
from lutfarm_jobs.spaces.base import Architecture, Space
from lutfarm_jobs.spec import JobSpec, Study, stored_job

ROUNDS = 7  # estimates of rounds differ by 4-6 %: fewer can't tell them apart
ANCHORS = 3  # small, middling, large; the same in every study of a table
ANCHOR_SEED = 0xA2C4
POOL = "pool:"


@dataclass(frozen=True, slots=True)
class StudyJob:
    """A stored job that measures networks for a table."""

    id: str
    spec: JobSpec
    created_s: float

    @property
    def study(self) -> Study:
        """What it is for."""
        if self.spec.validates is None:
            raise ValueError(f"{self.id} validates nothing")
        return self.spec.validates

    @property
    def space_name(self) -> str:
        """With a part of its content's hash, where it is a user's own: it says the same wherever the file lies."""
        return self._workload.space

    @property
    def space(self) -> Space:
        """From the copy that the job carries, or by its name.  Raises SpecError."""
        return space_of(self._workload.space, self._workload.definition)

    @property
    def archs(self) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """For validation, for calibration, anchors; in the space's encoding."""
        archs, first = self._workload.archs, self.study.networks
        second = first + self.study.calibrate
        return archs[:first], archs[first:second], archs[second:]

    @property
    def _workload(self) -> SpaceWorkload:
        workload = self.spec.workloads[0]
        if not isinstance(workload, SpaceWorkload):
            raise SpecError(f"job {self.id} says that it validates {self.study.job}, but its first workload is of no space")
        return workload


def studies_of(store: JobStore, job_id: str) -> list[StudyJob]:
    """The jobs that measured networks for this job's table, oldest first."""
    studies: list[StudyJob] = []
    for job, _ in store.jobs():
        if f'"{job_id}"' in job.spec_json:  # most jobs are ruled out without parsing them
            spec = stored_job(job.spec_json)
            if spec.validates is not None and spec.validates.job == job_id:
                studies.append(StudyJob(job.id, spec, job.created_s))
    return sorted(studies, key=lambda study: (study.created_s, study.id))


def find_study(studies: Sequence[StudyJob], wanted: Study, space_name: str) -> StudyJob | None:
    """The one that asked for the same: what was drawn for it stays, whatever the table has learned since."""
    return next((one for one in studies if one.study == wanted and one.space_name == space_name), None)


def plan_study(
    job: Job,
    table: LatencyTable,
    space: Space,
    wanted: Study,
    *,
    studies: Sequence[StudyJob],
    definition: Mapping[str, Any] | None = None,
) -> JobSpec:
    """The job that measures the networks; `definition` is what the space's file says, where it is a user's own.

    Raises SpecError where too few can be drawn, MissingEntry where no device and backend can predict the space.
    """
    spec = stored_job(job.spec_json)
    parts = [table.select(device=device, backend=backend) for device, backend in table.places if not device.startswith(POOL)]
    able = [part for part in parts if _predicts(part, space)]
    if not able:
        first = next(iter(space.random(wanted.seed, 1)))
        for part in parts:
            part.predict(space, first)  # says which operators are missing
        raise SpecError(f"job {job.name} has no entry from which networks of {space.name} could be predicted")
    studies = [study for study in studies if study.space_name == space.name]
    archs = _drawn(space, _predictor(able[0], space), wanted, studies, _measured(table, space))
    places = [part.places[0] for part in able]
    backends = {choice.value.key: choice for choice in spec.backends}
    return JobSpec(
        name=f"{job.name[:55]}-networks-{wanted.seed}",
        workloads=(
            SpaceWorkload(
                space=space.name, definition=None if definition is None else dict(definition), operators="none", archs=archs
            ),
        ),
        devices=tuple(dict.fromkeys(device for device, _ in places)),
        backends=_chosen(backends, [backend for _, backend in places]),
        sampling=SamplingPlan(rounds=ROUNDS, passes=spec.sampling.passes, sweep=True),
        conditions=spec.conditions,
        fresh=True,  # another sitting's networks are no part of this one
        validates=wanted,
    )


def _drawn(
    space: Space, predict_ns: PredictNs, wanted: Study, studies: Sequence[StudyJob], measured: Collection[Architecture]
) -> tuple[str, ...]:
    """Networks that nobody has seen: to validate, to calibrate, and anchors, which are those of an earlier study if any."""
    seen = {space.parse(arch) for study in studies for part in study.archs for arch in part} | set(measured)
    anchors = next((study.archs[2] for study in studies if study.archs[2]), None)
    if anchors is None:
        (drawn,) = draw(space, predict_ns, [ANCHORS], seed=ANCHOR_SEED, without=seen)
        seen |= set(drawn)
        anchors = tuple(space.format(arch) for arch in drawn)
    validation, calibration = draw(space, predict_ns, [wanted.networks, wanted.calibrate], seed=wanted.seed, without=seen)
    return (*(space.format(arch) for arch in (*validation, *calibration)), *anchors)


def _chosen(backends: dict[str, BackendChoice], keys: Sequence[str]) -> tuple[BackendChoice, ...]:
    return tuple(backends[key] for key in dict.fromkeys(keys))


def _measured(table: LatencyTable, space: Space) -> set[Architecture]:
    """The networks that have an entry of their own."""
    names = {named(entry.workload, f"network:{space.name}") for entry in table.entries}
    return {space.parse(name) for name in names if name}


def _predicts(part: LatencyTable, space: Space) -> bool:
    """Whether it has what most networks of the space need."""
    try:
        return bool(np.isfinite(_predictor(part, space)(np.array(space.random(0, 20), dtype=np.int64))).sum() >= 10)
    except SpecError:
        return False


def _predictor(part: LatencyTable, space: Space) -> PredictNs:
    """One device's and backend's predictions; NaN where an operator lacks."""

    def predict_ns(archs: IntArray) -> FloatArray:
        try:
            return part.predict_many(space, archs)
        except MissingEntry:
            predictions = [part.predict(space, [int(choice) for choice in arch], allow_partial=True) for arch in archs]
            return np.array([one.estimate if one.coverage == 1 else np.nan for one in predictions])

    return predict_ns
