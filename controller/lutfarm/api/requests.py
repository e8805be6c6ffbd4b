"""What the API is asked."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from lutfarm_jobs.spec import JOB_LIMIT_BYTES

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class JobRequest(BaseModel):
    """A job to be measured.  Its files are sent before, by their SHA-256."""

    model_config = ConfigDict(extra="forbid")

    job: str = Field(min_length=1, max_length=JOB_LIMIT_BYTES, description="the job file's text (YAML): see docs/jobs.md")
    files: dict[str, Sha256] = Field(
        default_factory=dict, max_length=10_000, description="the files that it names, by their path from the job file"
    )
    priority: int = Field(default=0, ge=-100, le=100, description="the greater goes first; above 0 takes an operator")
    retry_failed: bool = Field(default=False, description="measure again what is stored as failed")
    until_s: float | None = Field(default=None, ge=0, allow_inf_nan=False, description="Unix time at which it ends, done or not")


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
