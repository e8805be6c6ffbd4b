"""Comparing two sides in one sitting: which they are, who is next, what came of it."""

from lutfarm.comparing.course import PairCourse
from lutfarm.comparing.outcome import Comparison, WorkloadRatio, compared
from lutfarm.comparing.sides import PairPlan, names_of, parse_side, plan_pairs, spec_of

__all__ = [
    "Comparison",
    "PairCourse",
    "PairPlan",
    "WorkloadRatio",
    "compared",
    "names_of",
    "parse_side",
    "plan_pairs",
    "spec_of",
]
