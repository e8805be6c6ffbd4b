"""Which cores are of one kind: by what they are and can do before how fast their clock may run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lutfarm_profiles.profile import CoreCluster

NAMES = {1: ("all",), 2: ("little", "big"), 3: ("little", "mid", "big")}
OTHER = "other"  # the cluster of cores of which nothing is known
# The small ones beside any other, at whatever clock: Cortex-A35, A53, A55, A510, A520; Kryo Silver; Intel's E-cores.
SMALL = frozenset(
    {
        "0x41/0xd04",
        "0x41/0xd03",
        "0x41/0xd05",
        "0x41/0xd46",
        "0x41/0xd80",
        "0x51/0x801",
        "0x51/0x803",
        "0x51/0x805",
        "atom",
        "lowpower",
    }
)
# Equal cores differ: on x86 by how well each came out of the wafer (4.9 to 5.2 GHz side by side), elsewhere hardly.
X86 = frozenset({"x86_64", "i686", "i586", "i386", "amd64"})
APART_X86, APART = 1.10, 1.04  # neighbours in rank that are further apart are no equals


def core_clusters(
    cores: Sequence[tuple[int, int | None]],
    *,
    capacities: Mapping[int, int] | None = None,
    kinds: Mapping[int, str] | None = None,
    off: Sequence[int] = (),
    machine: str = "",
) -> tuple[CoreCluster, ...]:
    """Groups of equal cores, the slowest first, then those of which nothing is known.

    `kinds` and `capacities` count where every core that is on has one.  While cores are unknown none is called big, or all:
    they may be the faster ones.  () where nothing tells kinds apart.
    """
    clocks = dict(cores)
    on = [cpu for cpu in clocks if cpu not in off]
    kind = dict(kinds or {}) if on and all(cpu in (kinds or {}) for cpu in on) else {}
    capacity = dict(capacities or {}) if on and all(cpu in (capacities or {}) for cpu in on) else {}
    known = on if capacity or len(set(kind.values())) > 1 else [cpu for cpu in on if clocks[cpu] is not None]
    if not known:
        return ()
    apart = APART_X86 if machine in X86 else APART
    groups: list[list[int]] = []
    for name in dict.fromkeys(kind.get(cpu, "") for cpu in known):
        own = [cpu for cpu in known if kind.get(cpu, "") == name]
        by = capacity or {cpu: clocks[cpu] or 0 for cpu in own}
        groups += _split({cpu: by[cpu] for cpu in own}, apart)
    groups.sort(key=lambda group: _rank(group, kind, capacity, clocks))
    unknown = sorted(set(clocks) - set(known) | set(off))
    names = NAMES.get(len(groups)) if not unknown else None
    clusters = [
        CoreCluster(name=label, cpus=tuple(sorted(group)), max_khz=max((clocks[cpu] or 0 for cpu in group), default=0) or None)
        for label, group in zip(names or [f"group{number}" for number in range(len(groups))], groups, strict=True)
    ]
    return (*clusters, CoreCluster(name=OTHER, cpus=tuple(unknown))) if unknown else tuple(clusters)


def _split(values: Mapping[int, int], apart: float) -> list[list[int]]:
    """Where neighbours in rank lie further apart than equal cores do."""
    groups: list[list[int]] = []
    last = 0
    for cpu, value in sorted(values.items(), key=lambda pair: (pair[1], pair[0])):
        if groups and value <= apart * last:
            groups[-1].append(cpu)
        else:
            groups.append([cpu])
        last = value
    return groups


def _rank(
    group: Sequence[int], kind: Mapping[int, str], capacity: Mapping[int, int], clocks: Mapping[int, int | None]
) -> tuple[int, int, int, int]:
    return (
        max((capacity[cpu] for cpu in group), default=0) if capacity else 0,
        0 if kind.get(group[0], "") in SMALL else 1,
        max(clocks[cpu] or 0 for cpu in group),
        min(group),
    )
