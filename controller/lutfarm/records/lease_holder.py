"""Who holds a device's lease."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LeaseHolder:
    """For people in `words`; `job_id`: of the job that measures under it, empty where it is none, such as a check."""

    words: str
    until_s: float  # Unix time, unless it is renewed
    job_id: str = ""
