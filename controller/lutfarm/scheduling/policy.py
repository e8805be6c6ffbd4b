"""On what terms a device measures: its profile's constants and the job's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from lutfarm.records.registered_device import RegisteredDevice
from lutfarm_jobs.round import Limits, Slicing
from lutfarm_jobs.spec import JobSpec
from lutfarm_profiles import DeviceProfile


@dataclass(frozen=True, slots=True)
class Cooling:
    """A device above `limit_c` rests until it is at `resume_c`; after `wait_s` it is given up."""

    limit_c: float
    resume_c: float
    wait_s: float = 900.0
    look_s: float = 15.0  # how often it is looked at meanwhile


@dataclass(frozen=True, slots=True)
class Care:
    """How a kind of device is treated, whichever job it works for."""

    cooling: Cooling | None = None  # None: nothing is known of what is too hot
    hold_above: float | None = None  # a device whose canary drifted by more is held; None: it is only reported
    cooldown_s: float = 0.0  # the device is left idle so long after work


@dataclass(frozen=True, slots=True)
class MeasuringPolicy:
    """On what terms a device measures: its profile's constants and the job's."""

    slicing: Slicing = Slicing()
    memory_budget_bytes: int = 2 * 1024**3  # of all models that one round holds
    limits: Limits = Limits()
    setting: str = ""  # see lutfarm_profiles.profile.DeviceProfile.setting
    strict: bool = False  # what was measured on a throttled device is a failure
    care: Care = Care()


PROFILED = 2  # iterations under the profiler after each slice


def policies_of(spec: JobSpec, devices: Mapping[str, RegisteredDevice]) -> dict[str, MeasuringPolicy]:
    """By device: the constants of its profile, and what the job says."""
    conditions = spec.conditions
    sustained_ns = round((conditions.sustained_s or 0.0) * 1e9)
    inside = spec.composition == "in_network"
    asked = Slicing(passes=spec.sampling.passes, sustained_ns=sustained_ns, profile=PROFILED if inside else 0)
    return {
        name: MeasuringPolicy(
            _swept(profile.slicing(asked), sweep=spec.sampling.sweep or inside),
            profile.memory_budget_bytes,
            profile.workload_limits(),
            setting=profile.setting(cluster=conditions.cluster, fixed=conditions.clocks == "fixed"),
            strict=conditions.strict,
            care=Care(_cooling(profile), profile.canary.hold_above, profile.cooldown_s),
        )
        for name, profile in ((name, each.profile) for name, each in devices.items())
    }


def _swept(plan: Slicing, *, sweep: bool) -> Slicing:
    """Without a gate for anything, where the job asks for a sweep."""
    return replace(plan, long_ns=1) if sweep else plan


def _cooling(profile: DeviceProfile) -> Cooling | None:
    thermal = profile.thermal
    return Cooling(thermal.limit_c, thermal.resume_c, thermal.wait_s) if thermal else None
