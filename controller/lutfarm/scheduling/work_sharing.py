"""How the units of a pool share the work: anchors on all of them, everything else on one.  Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lutfarm_jobs import operators
from lutfarm_jobs.measurement import Measurement, Workload
from lutfarm_jobs.measurement_key import MeasurementKey, space_and_arch
from lutfarm_jobs.sources import Sources

# The sizes are crude on purpose: they only order workloads and balance the units, and probes replace them.
OVERHEAD_NS = 10_000.0
MULTIPLY_ACCUMULATES_PER_NS = 4.0
FILE_NS = 10_000_000.0

Item = tuple[str, str, str]  # what is shared: the workload's key, the unit and the backend's key


@dataclass(frozen=True, slots=True)
class Share:
    """Units of one profile that share a job's work."""

    profile: str
    units: tuple[str, ...]
    anchors: frozenset[Item]  # measured on every unit
    max_device_spread: float  # slowest over fastest unit, minus 1, that may still be merged


def item_of(measurement: Measurement) -> Item:
    """What it measures, whichever unit does."""
    return measurement.workload.key, *MeasurementKey.parse(measurement.key).process


def expected_ns(workload: Workload, sources: Sources) -> float:
    """A first guess at one inference, from its multiply-accumulates; files, which nothing is known of, all alike."""
    if workload.kind in ("operator", "sandwich"):
        return OVERHEAD_NS + operators.parse(workload.name).multiply_accumulates / MULTIPLY_ACCUMULATES_PER_NS
    if workload.kind == "network":
        name, arch = space_and_arch(workload.name)
        space = next(space for space in sources.spaces.values() if space.name == name)
        parts = space.composition(space.parse(arch)).items()
        return OVERHEAD_NS + sum(n * o.multiply_accumulates for o, n in parts) / MULTIPLY_ACCUMULATES_PER_NS
    return FILE_NS


def choose_anchors(plan: Sequence[Measurement], sizes_ns: Mapping[Item, float], count: int) -> frozenset[Item]:
    """For each backend `count` workloads, evenly over the logarithms of the expected latencies; fewer where there are.

    Operators come first; whole networks and files only where there are too few of them.
    """
    groups: dict[tuple[str, str], dict[Item, Workload]] = {}
    for measurement in plan:
        item = item_of(measurement)
        groups.setdefault((item[1], item[2]), {})[item] = measurement.workload
    chosen: set[Item] = set()
    for group in groups.values():
        real = [item for item, workload in group.items() if workload.kind == "operator"]
        others = [item for item in group if item not in set(real)]
        picked = _spread(real, sizes_ns, count)
        chosen |= picked | _spread(others, sizes_ns, count - len(picked))
    return frozenset(chosen)


def _spread(items: Sequence[Item], sizes_ns: Mapping[Item, float], count: int) -> set[Item]:
    if count >= len(items):
        return set(items)
    left = sorted(items, key=lambda item: (sizes_ns[item], item))
    if count <= 1:
        return set(left[len(left) // 2 : len(left) // 2 + count])
    # The ends by their place in the order: sizes that hardly differ can have the same logarithm.
    first, last = left.pop(0), left.pop()
    low, high = math.log(sizes_ns[first]), math.log(sizes_ns[last])
    chosen = {first, last}
    for step in range(1, count - 1):
        target = low + (high - low) * step / (count - 1)
        nearest = min(left, key=lambda item: (abs(math.log(sizes_ns[item]) - target), item))
        left.remove(nearest)
        chosen.add(nearest)
    return chosen


def divide(items: Mapping[Item, float], units: Sequence[str], *, busy_s: Mapping[str, float] | None = None) -> dict[Item, str]:
    """Which unit measures each item; `items` says how many seconds each takes, `busy_s` what the units have to do already.

    Longest first, each to the unit with the least to do: at most 4/3 of the shortest possible time (R. L. Graham,
    "Bounds on multiprocessing timing anomalies", SIAM J. Appl. Math. 17 (1969) 416-429).  The same for the same input,
    whatever its order.
    """
    load_s = {unit: (busy_s or {}).get(unit, 0.0) for unit in units}
    given: dict[Item, str] = {}
    for item in sorted(items, key=lambda item: (-items[item], item)):
        unit = min(load_s, key=lambda name: (load_s[name], name))
        load_s[unit] += items[item]
        given[item] = unit
    return given


def shared_out(plan: Sequence[Measurement], share: Share, given: Mapping[Item, str]) -> tuple[Measurement, ...]:
    """The part of a plan that is measured: of the share's units, anchors first, then what each was given; others whole."""
    units = set(share.units)
    mine = [m for m in plan if m.device in units]
    anchors = [m for m in mine if item_of(m) in share.anchors]
    rest = [m for m in mine if item_of(m) not in share.anchors and given.get(item_of(m)) == m.device]
    return (*(m for m in plan if m.device not in units), *anchors, *rest)
