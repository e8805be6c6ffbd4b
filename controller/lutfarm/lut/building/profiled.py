"""Operators from whole networks under the runtime's own profiler.  Pure.

Nodes are attributed to operators by the names that the model builder gave them: t7, t7_linear, t7_nchwc and the like
are of layer 7.  What the runtime puts in between, such as conversions of the memory layout, belongs to the layer that
needs it: the next one.  A profiler takes time itself, and its clock is coarse: what a node's time is too long by is told
from the same networks without the profiler, measured in the same process, as
(sum of the nodes - (whole - call)) / number of nodes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from lutfarm.lut.building.inherited import inherited
from lutfarm.lut.schema.entry import Entry
from lutfarm.lut.table import LatencyTable
from lutfarm.records.fingerprints import agree
from lutfarm.statistics import moderated_interval, prior_spread, sample
from lutfarm.statistics.estimates.flags import BUSY, MOST_HIDDEN
from lutfarm.statistics.intervals.interval import log_variance
from lutfarm.statistics.intervals.sweep import SweepFit, common_part, fit_sweep, widened
from lutfarm.statistics.samples.held_up import held_up
from lutfarm.statistics.samples.swept import LEAST_QUIET, visits
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.measurement_key import MeasurementKey, workload_key
from lutfarm_jobs.run import NodeTime, Run
from lutfarm_jobs.runtimes import told_from_networks

LAYER = re.compile(r"t(\d{1,6})(?:_\w*)?", re.ASCII)
OUTPUT = re.compile(r"output(?:_\w*)?", re.ASCII)
LEAST_NS = 1.0  # of an operator whose nodes take no longer than the profiler does
LEAST_ESTIMATES = 2


Layers = Mapping[str, tuple[Sequence[str], Mapping[str, int]]]


@dataclass(frozen=True, slots=True)
class Profiled:
    """A network in one process: its operators' times, summed over instances, and how often each occurs."""

    network: str  # Measurement.key
    round_id: str
    whole_ns: float  # without the profiler
    nodes: int
    total_ns: float  # of all nodes
    operators: Mapping[str, tuple[float, int, int]]  # by key: ns, how many of its nodes ran, instances


def attribute(nodes: Sequence[NodeTime], labels: Sequence[str]) -> dict[str, tuple[float, int]]:
    """By operator: how long its nodes took in ns, and how many there were; `labels` by layer."""
    parts: dict[str, tuple[float, int]] = {}
    waiting: list[NodeTime] = []
    last = ""
    for node in nodes:
        waiting.append(node)
        label = _label(node.name, labels)
        if label:
            for waited in waiting:
                _add(parts, label, waited)
            waiting, last = [], label
    for waited in waiting:  # conversions at the end are of the last layer
        _add(parts, last, waited)
    parts.pop("", None)
    return parts


def _label(name: str, labels: Sequence[str]) -> str:
    if OUTPUT.fullmatch(name):
        return labels[-1]
    match = LAYER.fullmatch(name)
    return labels[int(match[1])] if match and int(match[1]) < len(labels) else ""


def _add(parts: dict[str, tuple[float, int]], label: str, node: NodeTime) -> None:
    ns, count = parts.get(label, (0.0, 0))
    parts[label] = ns + node.lower_mean_ns, count + 1


def profiled(run: Run, labels: Sequence[str], instances: Mapping[str, int]) -> Profiled | None:
    """One run; None where it has no profile or no estimate."""
    counted = sample([run])
    if not run.nodes or counted is None:
        return None
    parts = attribute(run.nodes, labels)
    return Profiled(
        run.key,
        run.round_id,
        counted.estimates[0],
        len(run.nodes),
        float(sum(node.lower_mean_ns for node in run.nodes)),
        {key: (ns, count, instances.get(key, 1)) for key, (ns, count) in parts.items()},
    )


def overhead_ns(runs: Sequence[Profiled], call_ns: float) -> float:
    """How much too long the profiler says that a node took: the median over runs."""
    return float(np.median([(run.total_ns - (run.whole_ns - call_ns)) / run.nodes for run in runs]))


def sweep_of(runs: Sequence[Profiled]) -> SweepFit | None:
    """The common shift of each process, by the networks without the profiler."""
    wholes: dict[str, dict[str, float]] = {}
    for run in runs:
        wholes.setdefault(run.network, {})[run.round_id] = run.whole_ns
    return fit_sweep(wholes)


def operator_estimates(runs: Sequence[Profiled], call_ns: float, fit: SweepFit | None) -> dict[str, list[tuple[str, float]]]:
    """By operator: for each network that has it (network, ns of one instance), each process's common shift taken out.

    One estimate for each network: the geometric mean over its processes, without those that were held up.
    The call is of no operator: see `in_network`.
    """
    too_long_ns = overhead_ns(runs, call_ns)
    by_network: dict[tuple[str, str], list[float]] = {}  # in ns
    for run in runs:
        shift = fit.processes.get(run.round_id, 0.0) if fit else 0.0
        for key, (ns, nodes, instances) in run.operators.items():
            one_ns = max(LEAST_NS, (ns - nodes * too_long_ns) / instances)
            by_network.setdefault((key, run.network), []).append(one_ns / math.exp(shift))
    estimates: dict[str, list[tuple[str, float]]] = {}
    for (key, network), values in by_network.items():
        out = held_up(values)
        logs = [math.log(ns) for at, ns in enumerate(values) if at not in out]
        estimates.setdefault(key, []).append((network, math.exp(float(np.mean(logs)))))
    return estimates


def in_network(
    table: LatencyTable,
    runs: Iterable[Run],
    plan: Sequence[Measurement],
    layers: Layers,
    *,
    call_ns: Mapping[tuple[str, str], float],
    first: str,
    relative_target: float,
    confidence: float = 0.95,
) -> LatencyTable:
    """The table with an entry of each operator that ran under a profiler.

    `layers`: by workload name, each layer's operator and how often each operator occurs; `call_ns`: by device and backend,
    what a call costs that computes nothing: it goes to `first`, the operator that every network begins with.  The
    interval is over networks: an operator's time depends on its neighbours, and the next network has others.
    """
    planned = {m.key: m for m in plan if m.workload.name in layers}
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        if run.key in planned and run.status == "complete" and run.nodes:
            groups.setdefault((run.device, planned[run.key].backend.key), []).append(run)
    networks = {entry.key: entry for entry in table.entries}
    derived: list[Entry] = []
    for place, group in groups.items():
        newest = max(group, key=lambda run: (run.started_s, run.id))
        alike = [run for run in group if agree(run.fingerprint, newest.fingerprint)]  # of one runtime and protocol
        some = networks.get(newest.key)
        parts = _by_quiet(alike)
        quiet, busy = (
            [one for run in part if (one := profiled(run, *layers[planned[run.key].workload.name])) is not None] for part in parts
        )
        if some is not None and (quiet or busy):
            asked = partial(
                _entries,
                some=some,
                networks=networks,
                call_ns=call_ns.get(place, 0.0),
                first=first,
                relative_target=relative_target,
                confidence=confidence,
            )
            derived += _preferred(asked, quiet, busy, hidden=_hidden(parts[0]), slowed=_most_slowed(networks, alike))
    derived += _unprofiled(table.entries, plan, layers, groups)
    return LatencyTable.of((*table.entries, *derived), replace(table.manifest, composition="in_network"))


def _unprofiled(
    entries: Sequence[Entry], plan: Sequence[Measurement], layers: Layers, profiled_at: Collection[tuple[str, str]]
) -> list[Entry]:
    """The operators of places that have a profiler and took no profile, as a profile follows quiet visits: failures."""
    at: dict[tuple[str, str], dict[str, Entry]] = {}
    had = {(entry.device, entry.backend, entry.workload) for entry in entries}  # nothing by structure
    profiled = told_from_networks("profiled")
    workloads = {m.key: m.workload.name for m in plan if m.workload.name in layers and m.backend.runtime in profiled}
    for entry in entries:
        place = entry.device, entry.backend
        if entry.kind == "measured" and entry.key in workloads and place not in profiled_at:
            for key in layers[workloads[entry.key]][1]:
                at.setdefault(place, {}).setdefault(key, entry)
    return [
        Entry(
            key=str(replace(MeasurementKey.parse(some.key), workload=workload_key("operator", key))),
            workload=workload_key("operator", key),
            device=some.device,
            backend=some.backend,
            kind="failed",
            conditions=some.conditions,
            precision=some.precision,
            batch_size=some.batch_size,
            failure_code="Unstable",
            fingerprint=some.fingerprint,
            failure_detail="its networks were measured on a busy machine: no visit was quiet, so none was profiled; "
            "measure them again on a quiet one",
        )
        for by_operator in at.values()
        for key, some in by_operator.items()
        if (some.device, some.backend, workload_key("operator", key)) not in had
    ]


def _by_quiet(runs: Sequence[Run]) -> tuple[list[Run], list[Run]]:
    """Those in which enough visits were quiet, and the others: a profile follows quiet visits only, where there are any."""
    parts: tuple[list[Run], list[Run]] = [], []
    for run in runs:
        parts[visits(run.slices).share < LEAST_QUIET].append(run)
    return parts


def _most_slowed(networks: Mapping[str, Entry], runs: Sequence[Run]) -> float:
    """By how much what a busy machine measured may be too slow: as its networks' intervals say."""
    of_runs = [networks[key] for key in {run.key for run in runs} if key in networks]
    return max(
        ((one.estimate or 1.0) / max(LEAST_NS, one.low or 1.0) for one in of_runs if not BUSY.isdisjoint(one.flags)), default=1.0
    )


def _hidden(runs: Sequence[Run]) -> float:
    """By how much networks may be slower all the same where their iterations lay between calm canaries: the median of them."""
    by_network: dict[str, list[Run]] = {}
    for run in runs:
        by_network.setdefault(run.key, []).append(run)
    hidden = [one.hidden for of_network in by_network.values() if (one := sample(of_network)) is not None]
    return float(np.median(hidden)) if hidden else 0.0


def _preferred(
    asked: Callable[[Sequence[Profiled]], list[Entry]],
    quiet: Sequence[Profiled],
    busy: Sequence[Profiled],
    *,
    hidden: float,
    slowed: float,
) -> list[Entry]:
    """Entries from quiet processes; what these lack, from all, flagged, with an interval that reaches down to where it may be.

    `hidden`: what canaries can't have shown of the quiet ones; `slowed`: how many times too slow the others may be.
    """
    good = asked(quiet) if quiet else []
    if hidden > MOST_HIDDEN:
        good = [_slowed(entry, 1 + hidden) for entry in good]
    else:
        good = [replace(entry, low=(entry.low or 0.0) / (1 + hidden)) for entry in good]
    known = {entry.workload for entry in good}
    rest = [entry for entry in asked([*quiet, *busy]) if entry.workload not in known] if busy else []
    return good + [_slowed(entry, slowed) for entry in rest]


def _slowed(entry: Entry, by: float) -> Entry:
    """As it stands where a busy machine measured its networks: flagged, and maybe so many times too slow."""
    raised = {*entry.flags, "contended", "not_precise"} - {"converged"}
    return replace(entry, low=(entry.low or 0.0) / by, flags=tuple(sorted(raised)))


def _entries(
    runs: Sequence[Profiled],
    *,
    some: Entry,
    networks: Mapping[str, Entry],
    call_ns: float,
    first: str,
    relative_target: float,
    confidence: float,
) -> list[Entry]:
    fit = sweep_of(runs)
    estimates = operator_estimates(runs, call_ns, fit)
    keys = list(estimates)
    values = [[ns + (call_ns if key == first else 0.0) for _, ns in estimates[key]] for key in keys]
    priors = prior_spread([log_variance(values_ns) for values_ns in values], [len(values_ns) - 1 for values_ns in values])
    rounds = len({run.round_id for run in runs})
    of_networks = inherited([networks[key].flags for key in {run.network for run in runs} if key in networks])
    entries: list[Entry] = []
    for key, values_ns, prior in zip(keys, values, priors, strict=True):
        own = moderated_interval(values_ns, confidence=confidence, prior_spread=float(prior))
        interval = widened(own, fit, confidence=confidence) if fit else own
        precise = interval.relative_half_width <= relative_target and len(values_ns) >= LEAST_ESTIMATES
        workload = workload_key("operator", key)
        entries.append(
            Entry(
                key=str(replace(MeasurementKey.parse(some.key), workload=workload)),
                workload=workload,
                device=some.device,
                backend=some.backend,
                kind="measured",
                conditions=some.conditions,
                precision=some.precision,
                batch_size=some.batch_size,
                statistic="in_network",
                estimate=interval.estimate,
                low=interval.low,
                high=interval.high,
                confidence=confidence,
                scope="networks",
                rounds=rounds,
                between_spread=interval.spread,
                common_share=common_part(own, fit, len(values_ns)) if fit else 1.0,
                flags=("converged" if precise else "not_precise", *of_networks),
                fingerprint=some.fingerprint,
            )
        )
    return entries
