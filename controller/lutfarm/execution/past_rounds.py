"""What a device's stored rounds and probes say of how long it takes."""

from __future__ import annotations

import statistics as stdlib_statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

from lutfarm.scheduling.durations import Known, Span
from lutfarm.scheduling.policy import MeasuringPolicy
from lutfarm.scheduling.round_cost import ROUND_S, seconds_of
from lutfarm.store.interface import DevicesAndRuns
from lutfarm_agents.fingerprint import fingerprint
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.run import Probe, Run

MOST_RUNS = 1500
MOST_ROUNDS = 12
LEAST_ROUNDS = 2
BETWEEN_PROBES_S = 5.0  # longer apart, they are of two orders
LEAST_PROBES = 3


def known_of(
    store: DevicesAndRuns, unit: str, plan: Sequence[Measurement], policy: MeasuringPolicy, expected_ns: Mapping[str, float]
) -> Known:
    """Of one unit; rounds count that were taken as the job's would be."""
    last = store.hello(unit)
    if last is None:
        return Known()
    mine = [m for m in plan if m.device == unit]
    today = {m.backend.key: fingerprint(last[0], m.backend, policy.slicing, policy.setting)["slicing"] for m in mine}
    runs = [run for run in store.last_runs(unit, most=MOST_RUNS) if run.fingerprint.get("slicing") in today.values()]
    probes = store.probes(list({run.key for run in runs} | {m.key for m in mine}))
    newest = {key: found[0] for key, found in probes.items() if found and found[0].device == unit}
    return Known(_pace(runs, newest, policy), _probe(list(newest.values())), _scale(mine, newest, expected_ns))


def _pace(runs: Sequence[Run], probes: Mapping[str, Probe], policy: MeasuringPolicy) -> Span | None:
    """What rounds took over what they should have taken: the quartiles of the newest ones."""
    rounds: defaultdict[str, list[Run]] = defaultdict(list)
    for run in runs:  # newest first
        rounds[run.round_id].append(run)
    whole = list(rounds.values())
    if len(runs) == MOST_RUNS:
        whole = whole[:-1]  # the oldest is cut short
    found: list[float] = []
    for one in whole:
        known = [probes[run.key] for run in one if run.key in probes and probes[run.key].iteration_ns]
        if len(known) == len(one) and all(run.status == "complete" for run in one):
            due_s = ROUND_S + sum(seconds_of(p.iteration_ns or 0, policy.slicing, load_ns=p.load_ns) for p in known)
            found.append((max(run.ended_s for run in one) - min(run.started_s for run in one)) / due_s)
    found = found[:MOST_ROUNDS]
    if len(found) < LEAST_ROUNDS:
        return None
    low, _, high = stdlib_statistics.quantiles(found, n=4, method="inclusive")
    return Span(0.9 * low, 1.1 * high)


def _probe(probes: Sequence[Probe]) -> Span | None:
    """What one probe took: between two that followed each other."""
    times = sorted(probe.probed_s for probe in probes)
    gaps = [gap for before, after in pairwise(times) if 0 < (gap := after - before) < BETWEEN_PROBES_S]
    if len(gaps) < LEAST_PROBES:
        return None
    middle_s = stdlib_statistics.median(gaps)
    return Span(0.7 * middle_s, 1.6 * middle_s)


def _scale(plan: Sequence[Measurement], probes: Mapping[str, Probe], expected_ns: Mapping[str, float]) -> Mapping[str, float]:
    """By backend: iterations over what was guessed of them."""
    ratios: defaultdict[str, list[float]] = defaultdict(list)
    for m in plan:
        probe = probes.get(m.key)
        if probe is not None and probe.iteration_ns and m.key in expected_ns:
            ratios[m.backend.key].append(probe.iteration_ns / expected_ns[m.key])
    return {backend: stdlib_statistics.median(found) for backend, found in ratios.items()}
