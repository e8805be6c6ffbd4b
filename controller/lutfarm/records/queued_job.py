"""A job that a served farm has still to do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """`folder` is where the job file and the models that it names lie.  Times are Unix times in seconds."""

    job_id: str
    folder: str
    submitted_s: float
    retry_failed: bool = False
    until_s: float | None = None  # it ends then, whatever is left
    not_before_s: float = 0.0  # it was put off until then
    waiting: str = ""  # why it was put off
    ending: str = ""  # why somebody asked to end it; empty: nobody did
