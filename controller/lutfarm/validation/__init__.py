"""Whole networks beside a table: which ones, measured how, and what they say of its predictions."""

from lutfarm.validation.outcome import MeasuredNetworks, StudyOnTable, Validated, ValidationOutcome, calibration_for, outcome_of
from lutfarm.validation.study import StudyJob, find_study, plan_study, studies_of

__all__ = [
    "MeasuredNetworks",
    "StudyJob",
    "StudyOnTable",
    "Validated",
    "ValidationOutcome",
    "calibration_for",
    "find_study",
    "outcome_of",
    "plan_study",
    "studies_of",
]
