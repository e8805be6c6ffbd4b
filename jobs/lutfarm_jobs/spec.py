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
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.feeds.choices import ValueChoice
from lutfarm_jobs.measurement import Backend, Conditions
from lutfarm_jobs.measurement_key import BUILT_PRECISION
from lutfarm_jobs.precision import canonical
from lutfarm_jobs.runtimes import RUNTIMES, told_from_networks
from lutfarm_jobs.spec_problems import describe
from lutfarm_jobs.yaml_reader import read_yaml
from lutfarm_runner.commands import LARGEST_SIZE

JOB_LIMIT_BYTES = 1_000_000
LEAST_ANCHORS = 3  # of a device that shares work: with fewer it can't be corrected
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$"

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Dimension = Annotated[int, Field(ge=0, le=LARGEST_SIZE)]


def _exactly(value: object) -> object:
    # YAML 1.1 reads `on`, `1e3` or 1.0 as other types; a count must be written as a whole number.
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"a whole number is needed, not {value!r}")
    return value


Count = Annotated[int, BeforeValidator(_exactly)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _runtime(name: str) -> str:
    if name not in RUNTIMES:
        raise ValueError(RUNTIMES.unknown(name))
    return name


RuntimeName = Annotated[str, AfterValidator(_runtime)]
Composition = Literal["isolated", "sandwiched", "in_network"]
BALANCED_NETWORKS = 40  # measured for a table built in networks, unless the job says how many


class _Workload(_Strict):
    runtimes: tuple[RuntimeName, ...] | None = Field(
        default=None, min_length=1, description="only on these runtimes; all of the job's if left out"
    )


class SpaceWorkload(_Workload):
    """The operators of a search space, some of them, or whole networks drawn from it."""

    space: str = Field(description="a known space's name, or the path of a space file")
    operators: Literal["all", "none"] = "all"
    composition: Composition = Field(
        default="isolated",
        description="sandwiched: between two 1x1 convolutions, less what those cost; in_network: inside random networks",
    )
    every: Count = Field(default=1, ge=1, le=10_000, description="take each n-th operator, for a selection")
    networks: Count = Field(default=0, ge=0, le=10_000, description="how many random networks to measure whole")
    seed: Count = Field(default=0, ge=0, le=2**32 - 1)
    archs: tuple[Annotated[str, Field(max_length=10_000)], ...] = Field(
        default=(), max_length=10_000, description="these networks, whole, in the space's own encoding"
    )
    definition: dict[str, Any] | None = Field(
        default=None, description="set by lutfarm: what the space file said, so that the job outlives it"
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.operators == "none" and self.networks == 0 and not self.archs:
            raise ValueError("asks for nothing: set operators: all, networks: to more than 0, or name archs:")
        return self


class OperatorsWorkload(_Workload):
    """Operators by their canonical keys."""

    operators: tuple[str, ...] = Field(min_length=1, max_length=100_000)


class ModelsWorkload(_Workload):
    """Model files by path or glob, .onnx or .tflite, relative to the job file."""

    models: tuple[str, ...] = Field(min_length=1, max_length=10_000)
    inputs: dict[str, tuple[Dimension, ...]] = Field(default_factory=dict, description="shapes of dynamic inputs, by input name")
    values: dict[str, ValueChoice] = Field(
        default_factory=dict, description="what inputs hold, by input name: numbers, lists, words, ranges or files"
    )
    test_data: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description="ONNX's own test data for all inputs: a folder, relative to each model file's",
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.values and self.test_data is not None:
            raise ValueError("values and test_data both say what the inputs hold; give one of them")
        return self


class DeviceChoice(_Strict):
    """Devices by label."""

    label: dict[str, str] = Field(min_length=1)


class PoolChoice(_Strict):
    """Every ready device of one profile: each measures everything, or they share the work."""

    profile: Name
    replicate: Literal["all", "share"] = "all"
    anchors: Count | None = Field(
        default=None, ge=LEAST_ANCHORS, le=1000, description="share: measured on all devices, for each backend; default 8"
    )
    max_device_spread: float | None = Field(
        default=None,
        gt=0,
        le=1,
        allow_inf_nan=False,
        description="share: devices that differ by more are not merged; default 0.10",
    )

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.replicate == "all" and (self.anchors is not None or self.max_device_spread is not None):
            raise ValueError("anchors and max_device_spread are for replicate: share; with all every device measures everything")
        return self

    @property
    def anchor_count(self) -> int:
        """How many workloads of each backend all devices measure, of those that share."""
        return 8 if self.anchors is None else self.anchors

    @property
    def allowed_spread(self) -> float:
        """The slowest over the fastest device, minus 1, that may be merged, of those that share."""
        return 0.10 if self.max_device_spread is None else self.max_device_spread


class BackendChoice(_Strict):
    """Runtime and threads; a precision only to be held to it: what is run has its own."""

    runtime: RuntimeName
    threads: Count = Field(default=1, ge=1, le=256)
    precision: Annotated[str, Field(max_length=80), AfterValidator(canonical)] | None = Field(
        default=None, description="only what computes in it, such as int8 or int8+fp32; a file of another is refused"
    )
    provider: str = Field(default="cpu", pattern=r"^[a-z0-9_]{1,20}$", description="the runtime's delegate or execution provider")

    @property
    def value(self) -> Backend:
        """As the value that travels; precision: of what lutfarm builds, unless it says another."""
        return Backend(
            runtime=self.runtime, threads=self.threads, precision=self.precision or BUILT_PRECISION, provider=self.provider
        )

    @model_validator(mode="after")
    def _provider_exists(self) -> Self:
        known = RUNTIMES[self.runtime].providers
        if self.provider not in known:
            raise ValueError(f"{self.runtime} has no provider {self.provider!r}; it has {', '.join(known)}")
        return self


class SamplingPlan(_Strict):
    """How precise, how long."""

    target_relative_interval: float = Field(default=0.02, gt=0, lt=1, allow_inf_nan=False)
    confidence: float = Field(default=0.95, gt=0.5, lt=1, allow_inf_nan=False)
    minimum_rounds: Count | None = Field(default=None, ge=1, le=1000, description="default: 2, or rounds if fewer")
    stop: Literal["interval", "rounds"] = Field(
        default="interval", description="interval: once the target is reached; rounds: never before all rounds, however precise"
    )
    rounds: Count = Field(default=8, ge=1, le=1000, description="rounds (fresh processes) per measurement, at most")
    passes: Count = Field(default=16, ge=1, le=1000)
    device_time_budget_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    sweep: bool = Field(
        default=False, description="everything ungated, an iteration a visit, whatever it takes, in all rounds: for networks"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.minimum_rounds is not None and self.minimum_rounds > self.rounds:
            raise ValueError(f"minimum_rounds {self.minimum_rounds} is more than rounds {self.rounds}")
        return self

    @property
    def least_rounds(self) -> int:
        """With fewer, an entry is flagged."""
        return min(2, self.rounds) if self.minimum_rounds is None else self.minimum_rounds


class ConditionsChoice(_Strict):
    """Under what conditions: which cores, whose clocks, how long the load."""

    cluster: Name | None = Field(default=None, description="a cluster of the profile; default: the one it measures on")
    clocks: Literal["free", "fixed"] = Field(default="free", description="fixed: where the profile says how; put back after")
    strict: bool = Field(default=False, description="what was measured on a throttled device is a failure")
    sustained_s: float | None = Field(
        default=None, ge=1, le=3600, allow_inf_nan=False, description="load each workload so long, and keep the time series"
    )

    @property
    def value(self) -> Conditions:
        """As the value that travels."""
        return Conditions(
            state="steady" if self.sustained_s is None else "sustained", cluster=self.cluster or "", clocks=self.clocks
        )


def _workload_kind(value: object) -> str | None:
    for kind, model in (("space", SpaceWorkload), ("operators", OperatorsWorkload), ("models", ModelsWorkload)):
        if isinstance(value, model):
            return kind
    if isinstance(value, dict):
        return next((kind for kind in ("space", "models", "operators") if kind in value), None)
    return None


def _device_kind(value: object) -> str:
    if isinstance(value, PoolChoice) or (isinstance(value, dict) and "profile" in value and "label" not in value):
        return "profile"
    return "label" if isinstance(value, dict | DeviceChoice) else "name"


# One kind is picked by the field that only it has, so that an error speaks of that kind alone.
WorkloadChoice = Annotated[
    Annotated[SpaceWorkload, Tag("space")]
    | Annotated[OperatorsWorkload, Tag("operators")]
    | Annotated[ModelsWorkload, Tag("models")],
    Discriminator(
        _workload_kind,
        custom_error_type="workload_kind",
        custom_error_message="a workload needs one of: space, operators, models",
    ),
]
DeviceName = Annotated[
    Annotated[Name, Tag("name")] | Annotated[DeviceChoice, Tag("label")] | Annotated[PoolChoice, Tag("profile")],
    Discriminator(_device_kind),
]


class Study(_Strict):
    """Which table a job's whole networks are for.

    Of the networks that the job names, the first `networks` are held against the table's predictions, the next
    `calibrate` are for its calibration, and the rest are anchors: measured again in every sitting.
    """

    job: str = Field(min_length=1, max_length=100, description="the id of the job whose table it is")
    networks: Count = Field(ge=2, le=5000)
    calibrate: Count = Field(default=0, ge=0, le=5000)
    seed: Count = Field(default=0, ge=0, le=2**32 - 1)


class ComparedSide(_Strict):
    """One side of a comparison."""

    device: Name
    backend: BackendChoice


class Compared(_Strict):
    """The two sides that a job measures in pairs."""

    a: ComparedSide
    b: ComparedSide


# What job files could not say at first, by where it stands: jobs that leave it out keep the id that they had.
ADDED = {
    "": ("validates", "compares"),
    "sampling": ("sweep", "stop"),
    "workloads": ("archs", "composition", "definition", "values", "test_data"),
}


class JobSpec(_Strict):
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
