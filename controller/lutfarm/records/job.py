"""A job as it is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

JobState = Literal["open", "complete", "failed"]


@dataclass(frozen=True, slots=True)
class Job:
    """What a user submitted.  `id` is the job's name and the first 10 digits of its content's hash."""

    id: str
    name: str
    spec_json: str
    created_s: float  # Unix time
    state: JobState = "open"
    reason: str = ""
    zeros: tuple[str, ...] = ()  # keys of its operators that are nothing by structure


@dataclass(frozen=True, slots=True)
class JobCounts:
    """How far a job is."""

    measurements: int
    runs: int
    reused_runs: int
    failures: int


@dataclass(frozen=True, slots=True)
class JobRemoved:
    """What went with a job, and what stays although it was the job's."""

    measurements: int
    runs: int
    runs_kept: int  # other jobs read them
    probes: int
