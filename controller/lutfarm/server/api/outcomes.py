"""What a comparison, or a validation, came to."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from lutfarm.api.root import API
from lutfarm.comparison import Comparison
from lutfarm.server.api.jobs import JobName
from lutfarm.server.served import ServedDep
from lutfarm.validation import Validated

router = APIRouter(prefix=f"{API}/jobs", tags=["outcomes"])
Margin = Annotated[float, Query(ge=0, lt=1, allow_inf_nan=False, description="B may be slower by so much: 0.03 is 3 %")]


@router.get("/{job_id}/comparison")
def comparison(served: ServedDep, job_id: JobName, margin: Margin = 0.03) -> Comparison:
    """Whether B is slower than A, by what is measured until now: as `lutfarm compare` says it."""
    return served.outcomes.comparison(job_id, margin)


@router.get("/{job_id}/validation")
def validation(served: ServedDep, job_id: JobName) -> Validated:
    """How well a table predicts the networks that this job measured for it: as `lutfarm lut validate` says it."""
    return served.outcomes.validation(job_id)
