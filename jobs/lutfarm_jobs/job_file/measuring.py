"""With what, how precisely and under which conditions a job measures."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from lutfarm_jobs.job_file.fields import Count, Name, RuntimeName, Strict
from lutfarm_jobs.measurement import Backend, Conditions
from lutfarm_jobs.measurement_key import BUILT_PRECISION
from lutfarm_jobs.precision import canonical
from lutfarm_jobs.runtimes import RUNTIMES


class BackendChoice(Strict):
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


class SamplingPlan(Strict):
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


class ConditionsChoice(Strict):
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
