"""DeviceProfile: what is true of every device of one kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.job_file.fields import Name
from lutfarm_jobs.job_file.fields import RuntimeName as KnownRuntime
from lutfarm_jobs.round import Limits, Slicing
from lutfarm_jobs.runtimes import is_tool
from lutfarm_profiles.detect_rules import Detect
from lutfarm_profiles.field_types import Count, Cpu, Folder, Khz, LockFile, Seconds, Source, Strict, Text, Whole
from lutfarm_profiles.power_and_thermal import Battery, Frequency, PowerSensor, Thermal

__all__ = ["CanaryRules", "CoreCluster", "DeviceProfile", "SamplingConstants", "Transport", "WorkloadLimits"]

Transport = Literal["local", "ssh", "adb"]


def _of_a_kind(name: str) -> str:
    if is_tool(name):
        raise ValueError(f"{name} is a native tool: it is named for a device, with --tool, not for its kind")
    return name


RuntimeName = Annotated[KnownRuntime, AfterValidator(_of_a_kind)]


class CoreCluster(Strict):
    """Cores of one kind; `max_khz` is the highest clock that this kind reaches, where that is known."""

    name: Name
    cpus: Literal["all"] | tuple[Cpu, ...]
    max_khz: Khz | None = None


class WorkloadLimits(Strict):
    """What one workload may take; see lutfarm_jobs.round.Limits."""

    memory_bytes: Count = Limits().memory_bytes
    load_s: Annotated[float, Field(gt=0, le=3600)] = Limits().load_s
    iteration_s: Annotated[float, Field(gt=0, le=3600)] = Limits().iteration_s


class SamplingConstants(Strict):
    """What this kind needs other than the standard Slicing, the canary's gate among it; None leaves the standard."""

    slice_ns: Count | None = None
    gate_ratio: Annotated[float, Field(gt=1, le=10)] | None = None
    wait_ns: Annotated[Whole, Field(ge=0, le=1 << 50)] | None = None
    long_ns: Count | None = None


class CanaryRules(Strict):
    """`hold_above`: a device whose canary settled further than this ratio from its reference is held; None only reports it."""

    hold_above: Annotated[float, Field(gt=1, le=100)] | None = None


class DeviceProfile(Strict):
    """A kind of device, as its YAML file says it."""

    name: Name
    description: Annotated[str, Field(max_length=500)]
    vendor: Text | None = None
    model: Text | None = None
    soc: Text | None = None
    sources: tuple[Source, ...] = ()
    """Where the facts come from: https addresses, or names of documents."""
    detect: Detect = Detect()
    transport: Transport
    """How a device of this kind is reached where nobody says otherwise."""
    work_dir: Folder = ".lutfarm"
    """Where lutfarm keeps its files on the device; a relative one starts at the home of the user who logs in."""
    runtimes: Annotated[tuple[RuntimeName, ...], Field(min_length=1)]
    clusters: Annotated[tuple[CoreCluster, ...], Field(min_length=1)]
    measured_cluster: Name
    lock_path: LockFile
    thermal: Thermal | None = None
    battery: Battery | None = None
    frequency: Frequency | None = None
    power_sensor: PowerSensor | None = None
    warm_up_s: Annotated[Seconds, Field(le=3600)] = 0.0
    """How long the canary runs before a round that comes after an idle time."""
    cooldown_s: Seconds = 0.0
    """How long the device is left idle after a round, and after a probe."""
    memory_budget_bytes: Count = 2 * 1024**3
    limits: WorkloadLimits = WorkloadLimits()
    sampling: SamplingConstants = SamplingConstants()
    canary: CanaryRules = CanaryRules()

    @model_validator(mode="after")
    def _clusters_fit(self) -> Self:
        known = [cluster.name for cluster in self.clusters]
        if len(set(known)) < len(known):
            raise ValueError("two clusters have the same name")
        if self.measured_cluster not in known:
            raise ValueError(f"measured_cluster {self.measured_cluster!r} is none of {', '.join(known)}")
        return self

    @model_validator(mode="after")
    def _clocks_fit(self) -> Self:
        highest = {cluster.name: cluster.max_khz for cluster in self.clusters}
        for name, khz in (self.frequency.khz if self.frequency else {}).items():
            if name not in highest:
                raise ValueError(f"frequency.khz names {name!r}, which is none of the clusters {', '.join(highest)}")
            most = highest[name]
            if most is not None and khz > most:
                raise ValueError(f"frequency.khz of {name} is {khz}, above the cluster's max_khz {most}")
        return self

    @model_validator(mode="after")
    def _phone_has_a_place(self) -> Self:
        # adbd's shell starts in /, where nobody may write: a relative folder would fail at the first push.
        if self.transport == "adb" and not self.work_dir.startswith("/"):
            raise ValueError(f"work_dir {self.work_dir!r} must begin with / for adb, such as /data/local/tmp/lutfarm")
        return self

    def measured_cpus(self, allowed: Sequence[int], *, cluster: str | None = None) -> Sequence[int]:
        """The allowed cores of a cluster, by default the measured one, in ascending order.  Raises SpecError."""
        wanted = cluster or self.measured_cluster
        chosen = next((c for c in self.clusters if c.name == wanted), None)
        if chosen is None:
            known = ", ".join(c.name for c in self.clusters)
            raise SpecError(f"the profile {self.name} has no cluster {wanted!r}; it has {known}")
        return sorted(cpu for cpu in set(allowed) if chosen.cpus == "all" or cpu in chosen.cpus)

    def setting(self, *, cluster: str | None = None, fixed: bool = False) -> str:
        """Which cores are measured, how their clocks are fixed; part of the fingerprint, empty for all cores and free clocks."""
        wanted = cluster or self.measured_cluster
        cpus = next((c.cpus for c in self.clusters if c.name == wanted), "all")
        cores = "" if cpus == "all" else ",".join(map(str, cpus))
        return cores + (f"@{self.frequency.model_dump_json()}" if fixed and self.frequency else "")

    def workload_limits(self) -> Limits:
        """As the value that orders carry."""
        return Limits(**self.limits.model_dump())

    def slicing(self, plan: Slicing) -> Slicing:
        """The plan with this kind's own constants, and its warm-up."""
        own: Mapping[str, object] = {**self.sampling.model_dump(exclude_none=True), "warm_up_ns": round(self.warm_up_s * 1e9)}
        return replace(plan, **own)
