"""For whom a result was measured, and whether one that comes late still counts.  Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LateAnswer = Literal["committed", "seen", "fenced", "no job"]
"""What became of a late result: stored now; stored before; something newer was stored since; its job is gone."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """The job that ordered it, and the token of the lease under which it was measured.

    `job_created_s`: a job that was removed and submitted again has its id, and is another one.
    """

    job_id: str
    job_created_s: float  # Unix time
    token: int


def refusal(
    ordered: Ordered, *, job_created_s: float | None, token: int, committed_token: int
) -> Literal["fenced", "no job"] | None:
    """Why a result that comes after its lease may not be stored; None where it may.

    `job_created_s`: of the job of that id, None where there is none.  `token`: of the lease that is in force now, and in whose
    name it is stored.  `committed_token`: the newest under which anything was stored of the device as it was measured.  What
    came after the result and was stored closes the door on it: it may be the same, measured again.
    """
    if not committed_token <= ordered.token <= token:
        return "fenced"
    return None if job_created_s == ordered.job_created_s else "no job"
