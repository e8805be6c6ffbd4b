"""How three users share a farm: simulated devices, whose time is virtual, and the loop's own deciding.

The loop's thinking takes virtual time, as in scale.py; a farm of ten devices hardly notices it.
"""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Mapping
from itertools import pairwise

from _table import Report, options
from scale import POLICY, ROUNDS, VirtualFarm, probe_of

from lutfarm.scheduling.job_progress import JobProgress, MeasurementProgress
from lutfarm_jobs.measurement import Backend, Measurement, Workload

DEVICES = 10
HOUR_S, DAY_S = 3600.0, 86_400.0
SIZES = {"small": 10, "middle": 1000, "large": 100_000}
ENOUGH_S = 3600.0  # of real time, for anything here
Arrivals = Mapping[str, float]  # by user, when


def job_of(user: str, measurements: int) -> JobProgress:
    """Measurements that lie on all devices in turn, each probed already."""
    made = [
        Measurement(Workload("operator", f"{user}_{place}"), f"d{place % DEVICES}", Backend("onnxruntime"))
        for place in range(measurements)
    ]
    probed = {one.key: MeasurementProgress(probe_of(one.key, one.device)) for one in made}
    units = dict.fromkeys((f"d{place}" for place in range(min(DEVICES, measurements))), POLICY)
    return JobProgress(user, {one.key: one for one in made}, units, ROUNDS, probed)


def played(sizes: Mapping[str, int], at_s: Arrivals, *, until_s: float = math.inf, last: str = "") -> VirtualFarm:
    """A farm to which users come at these times; until a time, or until the `last` one's job is over."""
    farm = VirtualFarm(DEVICES, 0, 0)
    coming = sorted(at_s, key=lambda user: at_s[user])
    for user, following in pairwise([*coming, ""]):
        farm.now_s = max(farm.now_s, at_s[user])
        farm.submit(job_of(user, sizes[user]), user)
        farm.play(ENOUGH_S, until_s=at_s.get(following, until_s) if not last or following else farm.now_s)
    while last and last not in farm.over_s:
        farm.play(ENOUGH_S, until_s=farm.now_s + 10.0)
    return farm


def main() -> None:
    """Print how long the small ones wait beside the others, and how a day is shared."""
    chosen = options(__doc__)
    late_s = HOUR_S / 6 if chosen.quick else 6 * HOUR_S
    report = Report(
        f"three users on {DEVICES} devices",
        ("who comes when", "user", "measurements", "alone s", "beside the others s", "ratio", "ratio without the longest round"),
    )
    alone_s = {user: played(SIZES, {user: 0.0}, last=user).over_s[user] for user in ("small", "middle")}
    ways = {
        "all at once": dict.fromkeys(SIZES, 0.0),
        f"the small one after {late_s / HOUR_S:.2g} h": {"large": 0.0, "middle": 0.0, "small": late_s},
        f"the middle one after {late_s / HOUR_S:.2g} h": {"large": 0.0, "middle": late_s},
    }
    for way, at_s in ways.items():
        user = min(at_s, key=SIZES.__getitem__)
        farm = played(SIZES, at_s, last=user)
        took_s = farm.over_s[user] - at_s[user]
        ratios = [round(seconds / alone_s[user], 2) for seconds in (took_s, took_s - farm.longest_s)]
        report.rows.append((way, user, SIZES[user], round(alone_s[user], 1), round(took_s, 1), *ratios))
    report.show(chosen)
    shared(chosen)


def shared(chosen: Namespace) -> None:
    """Print what each of three users had of the devices who all want more than there is."""
    long_s = HOUR_S if chosen.quick else DAY_S
    enough = round(DEVICES * long_s / 8)  # of measurements that take 3 s and more, for a third of the devices
    sizes: dict[str, int] = dict.fromkeys(("ann", "bob", "eve"), enough)
    report = Report(
        f"{long_s / HOUR_S:g} h of {DEVICES} devices", ("who comes when", "user", "device time h", "of an equal share")
    )
    for way, at_s in {
        "all at once": dict.fromkeys(sizes, 0.0),
        "one after the other": {"ann": 0.0, "bob": long_s / 12, "eve": long_s / 6},
    }.items():
        farm = played(sizes, at_s, until_s=long_s)
        equal_s = sum(farm.had_s.values()) / len(sizes)
        for user in sizes:
            had_s = farm.had_s[user]
            report.rows.append((way, user, round(had_s / HOUR_S, 2), round(had_s / equal_s, 3)))
    report.show(chosen)


if __name__ == "__main__":
    main()
