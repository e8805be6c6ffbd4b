"""A job as it is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

JobState = Literal["queued", "open", "complete", "failed", "cancelled"]
"""`queued`: a served farm has it still to begin; `open`: it was begun and lacks something; the others are ends."""


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
    user: str = ""  # who submitted it to a served farm
    priority: int = 0  # the greater goes first


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
