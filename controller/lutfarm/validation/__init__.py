"""Whole networks beside a table: which ones, measured how, and what they say of its predictions."""

from lutfarm.validation.outcome import Held, Measured, Outcome, calibration_for, outcome_of
from lutfarm.validation.study import StudyJob, find_study, plan_study, studies_of

__all__ = ["Held", "Measured", "Outcome", "StudyJob", "calibration_for", "find_study", "outcome_of", "plan_study", "studies_of"]
