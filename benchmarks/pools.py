"""Whether the intervals of a pool's entries hold the truth as often as they say.

Simulated pools whose units share the work: `anchors` operators are measured on every unit, the others on one.  The
logarithm of an estimate is operator + unit + how the two differ beyond that + noise; the truth is the operator on the
mean unit, of whose kind these units are.  The farm's own statistics (lutfarm.statistics.comparisons.units) see what it sees:
estimates, with standard errors that are estimates themselves.

`of these units`: the same intervals held against the geometric mean of these very units.  A part of how they differ is
then no error, and intervals are wider than needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from _table import Report, options

from lutfarm.statistics.comparisons.units import UnitEstimate, anchored, corrected, fit_units
from lutfarm.statistics.intervals.interval import PRIOR_DF

POOLS, QUICK_POOLS = 2000, 150
UNITS, QUICK_UNITS = (2, 3, 4, 5, 6), (2, 4)
ANCHORS, QUICK_ANCHORS = (3, 4, 5, 6, 7, 8), (3, 8)
LONE = 2  # operators that each unit measures alone
PROCESSES = 5
CONFIDENCE = 0.95
COLUMNS = (
    "what differs",
    "units",
    "anchors",
    "pools",
    "inside: measured on one",
    "worst unit",
    "on all",
    "of these units",
    "half-width %",
)


@dataclass(frozen=True, slots=True)
class Scene:
    """Standard deviations of logarithms."""

    name: str
    noise: float  # of an estimate
    beyond: tuple[float, ...]  # by how much a unit differs from operator to operator; the last: all others

    def beyonds(self, units: int) -> np.ndarray:
        """By unit."""
        return np.array([self.beyond[min(at, len(self.beyond) - 1)] for at in range(units)])


SCENES = (
    Scene("nothing but the units' speed", 0.01, (0.0,)),
    Scene("operators, a little", 0.01, (0.005,)),
    Scene("operators", 0.01, (0.01,)),
    Scene("operators, exact estimates", 0.002, (0.01,)),
    Scene("one unit's operators", 0.01, (0.02, 0.005)),
)
SPREAD = 0.03  # of the units' speeds


@dataclass(slots=True)
class Count:
    """Truths inside their intervals, of how many."""

    inside: np.ndarray  # by unit, of what it measured alone
    anchors: int = 0
    these: int = 0  # of what units measured alone, held against these very units
    widths: float = 0.0


def count(scene: Scene, units: int, anchors: int, pools: int) -> Count:
    """Over so many pools."""
    random = np.random.default_rng([units, anchors, SCENES.index(scene)])
    found = Count(np.zeros(units))
    names = [f"u{at}" for at in range(units)]
    operators = anchors + units * LONE
    for _ in range(pools):
        speeds = SPREAD * random.standard_normal(units)
        beyond = scene.beyonds(units) * random.standard_normal((operators, units))
        true = np.log(1e5) + speeds + beyond  # shape (operators, units)
        seen = true + scene.noise * random.standard_normal(true.shape)
        df = PRIOR_DF + PROCESSES - 1
        errors = scene.noise * np.sqrt(random.chisquare(df, true.shape) / df)
        levels = {
            f"a{at}": {name: UnitEstimate(math.exp(seen[at, n]), float(errors[at, n]), df) for n, name in enumerate(names)}
            for at in range(anchors)
        }
        fit = fit_units(levels)
        if fit is None:
            raise SystemExit("a pool that is connected could not be fitted")
        truth, these = 1e5 * math.exp(float(speeds.mean())), np.exp(true.mean(axis=1))
        for at in range(anchors):
            interval = anchored(f"a{at}", fit, confidence=CONFIDENCE)
            found.anchors += interval.low <= truth <= interval.high
        for at in range(anchors, operators):
            n = (at - anchors) % units
            interval = corrected(
                UnitEstimate(math.exp(seen[at, n]), float(errors[at, n]), df), names[n], fit, confidence=CONFIDENCE
            )
            found.inside[n] += interval.low <= truth <= interval.high
            found.these += interval.low <= these[at] <= interval.high
            found.widths += interval.relative_half_width
    return found


def rows(pools: int, units: tuple[int, ...], anchors: tuple[int, ...]) -> Iterator[tuple[object, ...]]:
    """One for each scene and size."""
    for scene in SCENES:
        for n in units:
            for m in anchors:
                found = count(scene, n, m, pools)
                lone = pools * LONE
                yield (
                    scene.name,
                    n,
                    m,
                    pools,
                    float(found.inside.sum()) / (lone * n),
                    float(found.inside.min()) / lone,
                    found.anchors / (pools * m),
                    found.these / (lone * n),
                    100 * found.widths / (lone * n),
                )


def main() -> None:
    """Print the table."""
    chosen = options(__doc__)
    report = Report("pools whose units share the work: truths inside 95 % intervals", COLUMNS)
    sizes = (QUICK_POOLS, QUICK_UNITS, QUICK_ANCHORS) if chosen.quick else (POOLS, UNITS, ANCHORS)
    report.rows.extend(rows(*sizes))
    shares = [float(str(row[4])) for row in report.rows]
    report.notes.append(f"measured on one: {min(shares):.3f} to {max(shares):.3f}; to reach: 0.93 to 0.97")
    report.show(chosen)


if __name__ == "__main__":
    main()
