"""Comparing two sides in one sitting: which they are, who is next, what came of it."""

from lutfarm.comparison.pairing import PairStrategy
from lutfarm.comparison.result import Comparison, WorkloadRatio, compared
from lutfarm.comparison.sides import WorkloadPairs, names_of, parse_side, plan_pairs, spec_of

__all__ = [
    "Comparison",
    "PairStrategy",
    "WorkloadPairs",
    "WorkloadRatio",
    "compared",
    "names_of",
    "parse_side",
    "plan_pairs",
    "spec_of",
]
