"""DeviceProfile: what is true of every device of one kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from lutfarm_jobs.measurement import Limits, SlicePlan

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$"


def _whole(value: object) -> object:
    # YAML reads 1.0 and `on` as other types than they look; a count must be written as a whole number.
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"a whole number is needed, not {value!r}")
    return value


Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Whole = Annotated[int, BeforeValidator(_whole)]
Count = Annotated[Whole, Field(ge=1, le=1 << 50)]
Cpu = Annotated[Whole, Field(ge=0, le=65_535)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CoreCluster(_Strict):
    """Cores of one kind."""

    name: Name
    cpus: Literal["all"] | tuple[Cpu, ...]


class WorkloadLimits(_Strict):
    """What one workload may take; see lutfarm_jobs.measurement.Limits."""

    memory_bytes: Count = Limits().memory_bytes
    load_s: Annotated[float, Field(gt=0, le=3600)] = Limits().load_s
    iteration_s: Annotated[float, Field(gt=0, le=3600)] = Limits().iteration_s


class SamplingConstants(_Strict):
    """What this kind needs other than the standard SlicePlan; None leaves the standard."""

    slice_ns: Count | None = None
    gate_ratio: Annotated[float, Field(gt=1, le=10)] | None = None
    wait_ns: Annotated[Whole, Field(ge=0, le=1 << 50)] | None = None
    long_ns: Count | None = None


class DeviceProfile(_Strict):
    """A kind of device, as its YAML file says it."""

    name: Name
    description: Annotated[str, Field(max_length=500)]
    transport: Literal["local"]
    runtimes: Annotated[tuple[Literal["onnxruntime", "tflite"], ...], Field(min_length=1)]
    clusters: Annotated[tuple[CoreCluster, ...], Field(min_length=1)]
    measured_cluster: Name
    lock_path: Annotated[str, Field(pattern=r"^/[^\x00]*$", max_length=1000)]
    memory_budget_bytes: Count = 2 * 1024**3
    limits: WorkloadLimits = WorkloadLimits()
    sampling: SamplingConstants = SamplingConstants()

    @model_validator(mode="after")
    def _clusters_fit(self) -> Self:
        known = [cluster.name for cluster in self.clusters]
        if len(set(known)) < len(known):
            raise ValueError("two clusters have the same name")
        if self.measured_cluster not in known:
            raise ValueError(f"measured_cluster {self.measured_cluster!r} is none of {', '.join(known)}")
        return self

    def measured_cpus(self, allowed: Sequence[int]) -> Sequence[int]:
        """The allowed cores that belong to the measured cluster, in ascending order."""
        cluster = next(c for c in self.clusters if c.name == self.measured_cluster)
        return sorted(cpu for cpu in set(allowed) if cluster.cpus == "all" or cpu in cluster.cpus)

    def workload_limits(self) -> Limits:
        """As the value that orders carry."""
        return Limits(**self.limits.model_dump())

    def slice_plan(self, plan: SlicePlan) -> SlicePlan:
        """The plan with this kind's own constants."""
        own: Mapping[str, object] = self.sampling.model_dump(exclude_none=True)
        return replace(plan, **own)
