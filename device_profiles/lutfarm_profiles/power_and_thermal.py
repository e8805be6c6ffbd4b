"""What must hold on a device of a kind before it measures: temperature, battery, clocks."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lutfarm_jobs.job_file.fields import Name
from lutfarm_profiles.field_types import Celsius, Command, Count, KernelFile, Khz, Percent, Seconds, Strict, Text


class ThrottleFlags(Strict):
    """A file with a hexadecimal number: throttled while a bit of `mask` is set; no file, no verdict."""

    path: KernelFile
    mask: Count


class Thermal(Strict):
    """Which temperatures are watched.  Nothing starts above `limit_c`; it goes on at `resume_c` or below."""

    zones: Literal["all"] | Annotated[tuple[Text, ...], Field(min_length=1)] = "all"
    """The `type` of the thermal zones to watch, as in /sys/class/thermal/thermal_zone*/type."""
    limit_c: Celsius
    resume_c: Celsius
    wait_s: Seconds = 900.0
    """How long to wait for `resume_c` before the device is given up as too hot."""
    throttle_files: tuple[KernelFile, ...] = ()
    """Decimal counters that grow when the device throttles; one that is missing on a device is left out."""
    throttle_flags: tuple[ThrottleFlags, ...] = ()

    @model_validator(mode="after")
    def _cools(self) -> Self:
        if self.resume_c >= self.limit_c:
            raise ValueError(f"resume_c {self.resume_c:g} must be below limit_c {self.limit_c:g}")
        return self


class Battery(Strict):
    """The charge below which nothing starts, and whether the device may, must or must not be charging."""

    minimum_percent: Percent
    charging: Literal["any", "required", "forbidden"] = "any"


class Frequency(Strict):
    """How the clocks are fixed, and given free again: through cpufreq, or by the device's own commands.

    cpufreq: `governor` for all cores, and `khz` by cluster (minimum and maximum are both set to it).  What was there before
    is read first and put back.  Commands: `fix` and `restore`, each a list of commands, each a list of words.
    """

    governor: Name | None = None
    khz: dict[Name, Khz] = Field(default_factory=dict)
    fix: tuple[Command, ...] = ()
    restore: tuple[Command, ...] = ()

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        cpufreq = self.governor is not None or bool(self.khz)
        commands = bool(self.fix or self.restore)
        if cpufreq and commands:
            raise ValueError("say either governor and khz, or fix and restore, not both")
        if not cpufreq and not commands:
            raise ValueError("say a governor, khz by cluster, or the commands fix and restore")
        if commands and not (self.fix and self.restore):
            raise ValueError("fix needs restore and restore needs fix: clocks that are fixed must be given free again")
        return self


class PowerSensor(Strict):
    """A file with the power that the device takes at the moment, a decimal number in `unit`."""

    path: KernelFile
    unit: Literal["uW", "mW", "W"]
