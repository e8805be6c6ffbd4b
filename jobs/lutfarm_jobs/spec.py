"""What a job's YAML says, checked.

A job names workloads, devices, backends and a sampling plan::

    name: fbnet-on-this-machine
    workloads:
      - space: fbnet-224
    devices: [this-machine]
    backends:
      - runtime: onnxruntime
    sampling:
      target_relative_interval: 0.02
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Self, cast

from pydantic import Field, ValidationError, model_validator

from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.job_file.devices import DeviceName, PoolChoice
from lutfarm_jobs.job_file.fields import Count, Name, Strict
from lutfarm_jobs.job_file.measuring import BackendChoice, ConditionsChoice, SamplingPlan
from lutfarm_jobs.job_file.workloads import Composition, OperatorsWorkload, SpaceWorkload, WorkloadChoice
from lutfarm_jobs.measurement_key import BUILT_PRECISION
from lutfarm_jobs.runtimes import told_from_networks
from lutfarm_jobs.spec_problems import describe
from lutfarm_jobs.yaml_reader import read_yaml

JOB_LIMIT_BYTES = 1_000_000


class Study(Strict):
    """Which table a job's whole networks are for.

    Of the networks that the job names, the first `networks` are held against the table's predictions, the next
    `calibrate` are for its calibration, and the rest are anchors: measured again in every sitting.
    """

    job: str = Field(min_length=1, max_length=100, description="the id of the job whose table it is")
    networks: Count = Field(ge=2, le=5000)
    calibrate: Count = Field(default=0, ge=0, le=5000)
    seed: Count = Field(default=0, ge=0, le=2**32 - 1)


class ComparedSide(Strict):
    """One side of a comparison."""

    device: Name
    backend: BackendChoice


class Compared(Strict):
    """The two sides that a job measures in pairs."""

    a: ComparedSide
    b: ComparedSide


# What job files could not say at first, by where it stands: jobs that leave it out keep the id that they had.
ADDED = {
    "": ("validates", "compares"),
    "sampling": ("sweep", "stop"),
    "workloads": ("archs", "composition", "definition", "values", "test_data"),
}


class JobSpec(Strict):
    """A whole job file."""

    name: Name
    workloads: tuple[WorkloadChoice, ...] = Field(min_length=1, max_length=1000)
    devices: tuple[DeviceName, ...] = Field(min_length=1, max_length=1000)
    backends: tuple[BackendChoice, ...] = Field(min_length=1, max_length=100)
    sampling: SamplingPlan = SamplingPlan()
    conditions: ConditionsChoice = ConditionsChoice()
    fresh: bool = Field(default=False, description="measure again what other jobs measured already")
    validates: Study | None = Field(default=None, description="set by `lutfarm lut validate`")
    compares: Compared | None = Field(default=None, description="set by `lutfarm compare`")

    @property
    def id(self) -> str:
        """The job's name and the first 10 digits of the SHA-256 of its content."""
        content = self.model_dump(mode="json")
        if self.conditions == ConditionsChoice():
            del content["conditions"]  # jobs that were written before there were any keep their id
        for backend in content["backends"]:  # one that says none runs what lutfarm builds in this, as ever
            backend["precision"] = backend["precision"] or BUILT_PRECISION
        for place, names in ADDED.items():
            parts = content[place] if place else content
            for part in cast(list[dict[str, object]], parts if isinstance(parts, list) else [parts]):
                for name in names:
                    if part.get(name, True) in (None, False, [], {}, "isolated", "interval"):
                        del part[name]
        if self.compares is not None:  # how long it goes on is no part of what it compares
            content["sampling"] = {name: content["sampling"].get(name) for name in ("passes", "sweep", "confidence")}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return f"{self.name}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"

    @property
    def composition(self) -> Composition:
        """How the job's table is built."""
        for workload in self.workloads:
            if isinstance(workload, SpaceWorkload) and workload.operators == "all":
                return workload.composition
        return "isolated"

    @model_validator(mode="after")
    def _one_composition(self) -> Self:
        ways = {w.composition for w in self.workloads if isinstance(w, SpaceWorkload) and w.operators == "all"}
        ways |= {"isolated" for w in self.workloads if isinstance(w, OperatorsWorkload)}
        if len(ways) > 1:
            raise ValueError(f"a job builds its table in one way, not {' and '.join(sorted(ways))}: make a job for each")
        for position, workload in enumerate(self.workloads):
            if isinstance(workload, SpaceWorkload) and workload.composition == "in_network":
                runtimes = set(workload.runtimes or [backend.runtime for backend in self.backends])
                told = told_from_networks("profiled", "solved")
                if others := sorted(runtimes - told):
                    raise ValueError(
                        f"workloads[{position}]: {others[0]} tells no operators inside networks; give "
                        f"runtimes: [{', '.join(sorted(told))}], and build the other table isolated"
                    )
        shared = any(isinstance(device, PoolChoice) and device.replicate == "share" for device in self.devices)
        if shared and ways & {"sandwiched", "in_network"}:
            raise ValueError(f"{ways.pop()} operators come from several measurements of one device: replicate: all, not share")
        return self

    @model_validator(mode="after")
    def _runtimes_exist(self) -> Self:
        known = {backend.runtime for backend in self.backends}
        for position, workload in enumerate(self.workloads):
            for runtime in workload.runtimes or ():
                if runtime not in known:
                    raise ValueError(f"workloads[{position}].runtimes names {runtime}, which no backend has")
        return self


def load_job(path: Path) -> JobSpec:
    """The job that a YAML file says.  Raises SpecError naming file and line or field."""
    return parse_job(read_yaml(path, limit_bytes=JOB_LIMIT_BYTES), source=str(path))


def parse_job(content: object, *, source: str) -> JobSpec:
    """A job from plain data; `source` is named in errors."""
    if not isinstance(content, dict):
        raise SpecError(f"{source}: a job is a mapping with name, workloads, devices and backends")
    try:
        return JobSpec.model_validate(content)
    except ValidationError as error:
        raise SpecError(f"{source}: {describe(error)}") from error


def stored_job(text: str) -> JobSpec:
    """A job as a store keeps it.  Raises SpecError, for example where the package is gone that added its runtime."""
    try:
        return JobSpec.model_validate_json(text)
    except ValidationError as error:
        raise SpecError(f"the stored job can't be read here: {describe(error)}") from error
