"""From entries to a network: sums of operators that were measured alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lutfarm.lut.prediction.operator_latencies import Price, Prices
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.operators.base import Operator
from lutfarm_jobs.spaces.base import Space

NAMED = 8
SUM = "sum of entries"


class MissingEntry(SpecError):
    """The table has no latency for an operator that the network needs."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a network takes by a table, in the unit of the table's quantity: ns.

    Uncalibrated, the interval is that of the *sum of the table's entries*, no promise about the network: inside one, layout
    changes and a residual add vanish and weights are colder, about 10 % each way (docs/measurement.md).  Calibrated, it
    is that of the network as the `calibrated_on` networks were measured.  `coverage` is the share of the operator
    instances that have a latency; below 1 the sum is of those alone, has no interval, is never calibrated, and `missing`
    names the others.  `flags` are those of the entries that went in, and of the calibration.
    """

    estimate: float
    low: float | None
    high: float | None
    coverage: float
    missing: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    composed: str = SUM  # which operators were added up, and whether that is calibrated
    calibrated_on: int = 0  # networks; 0: it is the plain sum


def predict(prices: Prices, space: Space, arch: Sequence[int], *, allow_partial: bool = False) -> Prediction:
    """Raises SpecError for an architecture that is not of the space, MissingEntry unless `allow_partial`."""
    needed = needs(space.composition(arch))
    priced = {operator.key: price for operator in needed if (price := prices.of(operator)) is not None}
    missing = tuple(operator.key for operator in needed if operator.key not in priced)
    if missing and not allow_partial:
        raise missing_entry(prices, missing, len(needed))
    counted = [(priced[operator.key], count) for operator, count in needed.items() if operator.key in priced]
    prices.refuse_mixture(price.row for price, _ in counted)
    total_ns = sum(count * price.estimate for price, count in counted)
    low_ns, high_ns = (None, None) if missing else bounds(counted, total_ns)
    instances = sum(needed.values())
    return Prediction(
        estimate=total_ns,
        low=low_ns,
        high=high_ns,
        coverage=sum(count for _, count in counted) / instances if instances else 1.0,
        missing=missing,
        flags=prices.flags(price.row for price, _ in counted),
    )


def needs(composition: Mapping[Operator, int]) -> Mapping[Operator, int]:
    """Without the operators that are nothing by structure."""
    return {operator: count for operator, count in composition.items() if count and not operator.is_nothing}


def bounds(counted: Sequence[tuple[Price, int]], total_ns: float) -> tuple[float, float]:
    """The interval of a sum of entries, each taken so many times.

    Half-widths are combined in quadrature (JCGM 100:2008, 5.2), below and above the estimate apart.  An entry's error
    repeats with the entry, so its half-width counts as often as the entry; and what processes shift together, the
    `common_share` of each variance, does not average out: it adds up linearly.
    """

    def half_ns(halves_ns: Sequence[float]) -> float:
        own = sum((1 - price.common_share) * half**2 for (price, _), half in zip(counted, halves_ns, strict=True))
        common = sum(math.sqrt(price.common_share) * half for (price, _), half in zip(counted, halves_ns, strict=True))
        return math.sqrt(own + common**2)

    below = half_ns([count * (price.estimate - price.low) for price, count in counted])
    above = half_ns([count * (price.high - price.estimate) for price, count in counted])
    return max(0.0, total_ns - below), total_ns + above  # no entry reaches below 0: only rounding would


def missing_entry(prices: Prices, missing: Sequence[str], needed: int) -> MissingEntry:
    """Says which operators, why, and what to do."""
    named = [key + (f" ({reason})" if (reason := prices.failure(key)) else "") for key in missing[:NAMED]]
    more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    unmeasured = [key for key in missing if not prices.failure(key)]
    job = f"has `- operators: [{', '.join(unmeasured)}]`" if len(unmeasured) <= NAMED else "names their space"
    cure = f"measure them with a job that {job}, or " if unmeasured else ""
    return MissingEntry(
        f"{prices.where} has no latency for {len(missing)} of the {needed} operators that are needed: "
        f"{', '.join(named)}{more}; {cure}allow a partial prediction (allow_partial=True, --allow-partial), "
        "which says what is missing"
    )
