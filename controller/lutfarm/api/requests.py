"""What the API is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lutfarm.comparison.sides import ROUNDS
from lutfarm.lut.schema.calibration_record import MOST_NETWORKS
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.spec import JOB_LIMIT_BYTES
from lutfarm_jobs.spec_problems import describe

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Setting = Annotated[str, Field(min_length=1, max_length=200)]


class SideRequest(BaseModel):
    """One side of a comparison; what it leaves out is the job's."""

    model_config = ConfigDict(extra="forbid")

    device: Setting | None = None
    runtime: Setting | None = None
    threads: int | None = Field(default=None, ge=1, le=999_999)
    precision: Setting | None = None
    provider: Setting | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.settings:
            raise ValueError("a side says device, runtime, threads, precision or provider")
        return self

    @classmethod
    def of(cls, said: Mapping[str, object], *, where: str) -> SideRequest:
        """From what a program says.  Raises SpecError."""
        try:
            return cls.model_validate(dict(said))
        except ValidationError as error:
            raise SpecError(f"{where}: {describe(error)}") from error

    @property
    def settings(self) -> dict[str, str]:
        """As `lutfarm compare` has them."""
        return {name: str(value) for name, value in self.model_dump(exclude_none=True).items()}


class CompareRequest(BaseModel):
    """The workloads of a job on two sides, in pairs of rounds: is B slower?  See docs/compare.md."""

    model_config = ConfigDict(extra="forbid")

    a: SideRequest
    b: SideRequest
    rounds: int = Field(default=ROUNDS, ge=2, le=1000, description="at most so many pairs of rounds")
    target: float | None = Field(
        default=None, gt=0, lt=1, description="ends once every ratio is known to +- this, 0.02 is 2 %; default: the job's"
    )


class ValidateRequest(BaseModel):
    """Networks that a job's table has never seen, to be held against what it predicts for them."""

    model_config = ConfigDict(extra="forbid")

    job: str = Field(min_length=1, max_length=100, description="whose table: its id, the start of it, or its name")
    networks: int = Field(default=20, ge=2, le=5000, description="how many to hold it against")
    calibrate: int = Field(default=0, ge=0, le=MOST_NETWORKS, description="so many others to calibrate it on; 0, or 5 or more")
    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="other seeds draw other networks")
    space: Setting | None = Field(
        default=None, description="a known space's name, or one of `files`; default: the job's only one"
    )


class JobRequest(BaseModel):
    """A job to be measured.  Its files are sent before, by their SHA-256.

    `job` alone is measured for its table, with `compares` on two sides; `validates` takes no job file, but the name of a job.
    """

    model_config = ConfigDict(extra="forbid")

    job: str | None = Field(
        default=None, min_length=1, max_length=JOB_LIMIT_BYTES, description="the job file's text (YAML): see docs/jobs.md"
    )
    compares: CompareRequest | None = None
    validates: ValidateRequest | None = None
    files: dict[str, Sha256] = Field(
        default_factory=dict, max_length=10_000, description="the files that it names, by their path from the job file"
    )
    priority: int = Field(default=0, ge=-100, le=100, description="the greater goes first; above 0 takes an operator")
    retry_failed: bool = Field(default=False, description="measure again what is stored as failed")
    until_s: float | None = Field(default=None, ge=0, allow_inf_nan=False, description="Unix time at which it ends, done or not")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.job is None) == (self.validates is None) or (self.compares is not None and self.validates is not None):
            raise ValueError("a job is sent as `job`, alone or with `compares`, or as `validates`")
        return self


class CancelRequest(BaseModel):
    """Why a job is ended."""

    model_config = ConfigDict(extra="forbid")

    why: str = Field(default="", max_length=500)


class HoldRequest(BaseModel):
    """Why a device is taken out of work; shown to everybody who asks for it."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=500)


class PredictRequest(BaseModel):
    """Networks whose latency is asked for."""

    model_config = ConfigDict(extra="forbid")

    archs: list[Annotated[str, Field(max_length=10_000)]] = Field(
        min_length=1, max_length=10_000, description="architectures in the space's own encoding"
    )
    space: str | None = Field(
        default=None, max_length=200, description="a known space's name, or as the job names it; default: the job's only one"
    )
    allow_partial: bool = Field(default=False, description="sum what there is; say what is missing")
    uncalibrated: bool = Field(default=False, description="the plain sum, though the table is calibrated")
    device: str | None = Field(default=None, max_length=200, description="where the table has several")
    backend: str | None = Field(default=None, max_length=200, description="where the table has several")
