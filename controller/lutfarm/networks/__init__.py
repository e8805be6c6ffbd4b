"""Whole networks beside a table: which ones, measured how, and what they say of its predictions."""

from lutfarm.networks.outcome import Network, Outcome, PlaceOutcome, outcome_of
from lutfarm.networks.study import find_study, plan_study, studies_of

__all__ = ["Network", "Outcome", "PlaceOutcome", "find_study", "outcome_of", "plan_study", "studies_of"]
