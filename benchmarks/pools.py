"""Whether the intervals of a pool's entries hold the truth as often as they say.

Simulated pools whose devices share the work: `anchors` operators are measured on every device, the others on one.  The
logarithm of an estimate is operator + device + how the two differ beyond that + noise; the truth is the operator on the
mean device, of whose kind these devices are.  The farm's own statistics (lutfarm.statistics.comparisons.devices) see
what it sees: estimates, with standard errors that are estimates themselves.

`of these devices`: the same intervals held against the geometric mean of these very devices.  A part of how they differ is
then no error, and intervals are wider than needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from _table import Report, options

from lutfarm.statistics.comparisons.devices import DeviceEstimate, anchored, corrected, fit_devices
from lutfarm.statistics.intervals.interval import PRIOR_DF

POOLS, QUICK_POOLS = 2000, 150
UNITS, QUICK_UNITS = (2, 3, 4, 5, 6), (2, 4)
ANCHORS, QUICK_ANCHORS = (3, 4, 5, 6, 7, 8), (3, 8)
LONE = 2  # operators that each device measures alone
PROCESSES = 5
CONFIDENCE = 0.95
COLUMNS = (
    "what differs",
    "devices",
    "anchors",
    "pools",
    "inside: measured on one",
    "worst device",
    "on all",
    "of these devices",
    "half-width %",
)


@dataclass(frozen=True, slots=True)
class Scene:
    """Standard deviations of logarithms."""

    name: str
    noise: float  # of an estimate
    beyond: tuple[float, ...]  # by how much a device differs from operator to operator; the last: all others

    def beyonds(self, devices: int) -> np.ndarray:
        """By device."""
        return np.array([self.beyond[min(at, len(self.beyond) - 1)] for at in range(devices)])


SCENES = (
    Scene("nothing but the devices' speed", 0.01, (0.0,)),
    Scene("operators, a little", 0.01, (0.005,)),
    Scene("operators", 0.01, (0.01,)),
    Scene("operators, exact estimates", 0.002, (0.01,)),
    Scene("one device's operators", 0.01, (0.02, 0.005)),
)
SPREAD = 0.03  # of the devices' speeds


@dataclass(slots=True)
class Count:
    """Truths inside their intervals, of how many."""

    inside: np.ndarray  # by device, of what it measured alone
    anchors: int = 0
    these: int = 0  # of what devices measured alone, held against these very devices
    widths: float = 0.0


def count(scene: Scene, devices: int, anchors: int, pools: int) -> Count:
    """Over so many pools."""
    random = np.random.default_rng([devices, anchors, SCENES.index(scene)])
    found = Count(np.zeros(devices))
    names = [f"u{at}" for at in range(devices)]
    operators = anchors + devices * LONE
    for _ in range(pools):
        speeds = SPREAD * random.standard_normal(devices)
        beyond = scene.beyonds(devices) * random.standard_normal((operators, devices))
        true = np.log(1e5) + speeds + beyond  # shape (operators, devices)
        seen = true + scene.noise * random.standard_normal(true.shape)
        df = PRIOR_DF + PROCESSES - 1
        errors = scene.noise * np.sqrt(random.chisquare(df, true.shape) / df)
        levels = {
            f"a{at}": {name: DeviceEstimate(math.exp(seen[at, n]), float(errors[at, n]), df) for n, name in enumerate(names)}
            for at in range(anchors)
        }
        fit = fit_devices(levels)
        if fit is None:
            raise SystemExit("a pool that is connected could not be fitted")
        truth, these = 1e5 * math.exp(float(speeds.mean())), np.exp(true.mean(axis=1))
        for at in range(anchors):
            interval = anchored(f"a{at}", fit, confidence=CONFIDENCE)
            found.anchors += interval.low <= truth <= interval.high
        for at in range(anchors, operators):
            n = (at - anchors) % devices
            interval = corrected(
                DeviceEstimate(math.exp(seen[at, n]), float(errors[at, n]), df), names[n], fit, confidence=CONFIDENCE
            )
            found.inside[n] += interval.low <= truth <= interval.high
            found.these += interval.low <= these[at] <= interval.high
            found.widths += interval.relative_half_width
    return found


def rows(pools: int, devices: tuple[int, ...], anchors: tuple[int, ...]) -> Iterator[tuple[object, ...]]:
    """One for each scene and size."""
    for scene in SCENES:
        for n in devices:
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
    report = Report("pools whose devices share the work: truths inside 95 % intervals", COLUMNS)
    sizes = (QUICK_POOLS, QUICK_UNITS, QUICK_ANCHORS) if chosen.quick else (POOLS, UNITS, ANCHORS)
    report.rows.extend(rows(*sizes))
    shares = [float(str(row[4])) for row in report.rows]
    report.notes.append(f"measured on one: {min(shares):.3f} to {max(shares):.3f}; to reach: 0.93 to 0.97")
    report.show(chosen)


if __name__ == "__main__":
    main()
