"""What a table's entries know of each other's spread between processes, and how much that is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lutfarm.statistics.intervals.common_shift import LEAST_ROUNDS, common_share
from lutfarm.statistics.intervals.interval import (
    DEFAULT_SPREAD,
    LEAST_FOR_PRIOR,
    PRIOR_DF,
    log_variance,
    moderated_interval,
    prior_spread,
)
from lutfarm.statistics.samples.sample import Sample


@dataclass(frozen=True, slots=True)
class Prior:
    """A relative spread between processes, and its weight in degrees of freedom."""

    spread: float = DEFAULT_SPREAD
    df: float = 0.0


def priors_of(samples: Sequence[Sample]) -> list[Prior]:
    """The prior of each entry, from the others; all of one device, backend and statistic: see `priors_of_estimates`."""
    return priors_of_estimates([sample.estimates_by_round for sample in samples])


def priors_of_estimates(estimates_by_entry: Sequence[Sequence[tuple[str, float]]]) -> list[Prior]:
    """The prior of each entry, from the others, by (round id, process-level estimate in ns) of each.

    Its weight is PRIOR_DF, with two exceptions.  Fewer than LEAST_FOR_PRIOR others: 0.  A spread that was measured
    elsewhere is no witness of this device's: with 3 degrees of freedom, and stopping by the interval, DEFAULT_SPREAD covers
    87 % where processes differ by 3 %, and 100 % where they differ by 0.3 %; Student's t alone covers 95 % at every spread.
    Entries that move together: where a share r of the variance is common to all entries of a process, their n variances
    are correlated by r^2, and many of them are worth no more than 1 / r^2 of one; one is the entry's own.  So the weight
    is at most (1 / r^2 - 1) times the entry's own degrees of freedom.  Below LEAST_ROUNDS processes r can't be told.
    """
    values_ns = [[estimate_ns for _, estimate_ns in estimates] for estimates in estimates_by_entry]
    degrees = [len(values) - 1 for values in values_ns]
    spreads = prior_spread([log_variance(values) for values in values_ns], degrees)
    known = sum(degree > 0 for degree in degrees)
    weights = np.array([PRIOR_DF if known - (degree > 0) >= LEAST_FOR_PRIOR else 0.0 for degree in degrees])
    rounds = {round_id for estimates in estimates_by_entry if len(estimates) > 1 for round_id, _ in estimates}
    if weights.any() and len(rounds) >= LEAST_ROUNDS:
        moderated = [
            moderated_interval(values, prior_spread=float(spread)).spread
            for values, spread in zip(values_ns, spreads, strict=True)
        ]
        share = common_share(estimates_by_entry, moderated)
        if share > 0:
            weights = np.minimum(weights, np.array(degrees) * (1 / share**2 - 1))
    return [Prior(float(spread), float(weight)) for spread, weight in zip(spreads, weights, strict=True)]
