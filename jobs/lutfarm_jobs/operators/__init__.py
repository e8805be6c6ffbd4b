"""Operators: definitions, canonical keys, one-operator graphs."""

from lutfarm_jobs.operators.base import Operator
from lutfarm_jobs.operators.keys import graph_of, make, parse

__all__ = ["Operator", "graph_of", "make", "parse"]
