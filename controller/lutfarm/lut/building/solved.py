"""Operators from whole networks on a runtime without a profiler.  Pure.

As many equations as networks, more unknowns than that: what an operator computes gives its prior (lut.analytic), operators
that are alike share what they deviate by, and the posterior's mean and interval of each become its entry (lut.posterior).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from lutfarm.lut.building.inherited import inherited
from lutfarm.lut.calibration.design import Terms
from lutfarm.lut.calibration.posterior import calibrate
from lutfarm.lut.calibration.priors_from_counts import analytic
from lutfarm.lut.calibration.shared_effects import effects_of
from lutfarm.lut.schema.calibration_record import ANALYTIC_PRIORS, Observed
from lutfarm.lut.schema.entry import Entry
from lutfarm.lut.table import LatencyTable
from lutfarm.statistics.estimates.flags import BUSY
from lutfarm_jobs.measurement_key import MeasurementKey, named, runtime_of, workload_key
from lutfarm_jobs.spaces.base import Space

LEAST_NETWORKS = 10
LEAST_NS = 1.0
WITHOUT_INTERCEPT = replace(ANALYTIC_PRIORS, intercept=1e-6)  # a sum of entries has none: the operators all share it


def solved(
    table: LatencyTable, spaces: Sequence[Space], runtimes: Collection[str], relative_target: float, *, confidence: float = 0.95
) -> LatencyTable:
    """The table with an entry of each operator that occurs in its networks, for backends of these runtimes.

    The networks of all spaces tell together: spaces share operators.  Of fewer than LEAST_NETWORKS none is told.  Those that
    a busy machine measured are left out, as long as so many others are there; else what is told is flagged `contended`.
    Other flags of the networks are those of what is told from them: see `inherited`.
    """
    derived: list[Entry] = []
    for device, backend in table.places:
        runtime = runtime_of(backend)
        if runtime in runtimes:
            measured = [e for e in table.entries if (e.device, e.backend, e.kind) == (device, backend, "measured")]
            seen = {space.name: space.under(runtime) for space in spaces}  # a job may name one twice
            derived += _of_networks(measured, list(seen.values()), relative_target, confidence)
    # Where every place is solved the table says so; beside a profiler's each entry's statistic does.
    composition = "solved" if all(runtime_of(b) in runtimes for _, b in table.places) else "in_network"
    return LatencyTable.of((*table.entries, *derived), replace(table.manifest, composition=composition))


def _of_networks(entries: Sequence[Entry], spaces: Sequence[Space], relative_target: float, confidence: float) -> list[Entry]:
    networks = [(space, entry) for space in spaces for entry in entries if named(entry.workload, f"network:{space.name}")]
    if len(networks) < LEAST_NETWORKS:
        return []
    busy = [entry for _, entry in networks if not BUSY.isdisjoint(entry.flags)]
    if not busy:
        return _solved(networks, relative_target, confidence)
    quiet = [(space, entry) for space, entry in networks if BUSY.isdisjoint(entry.flags)]
    good = _solved(quiet, relative_target, confidence) if len(quiet) >= LEAST_NETWORKS else []
    # All of them say what this machine took, and their intervals how much less it may have been.
    slowed = max((entry.estimate or 1.0) / max(LEAST_NS, entry.low or 1.0) for entry in busy)
    known = {entry.workload for entry in good}
    return good + [
        replace(
            entry,
            low=(entry.low or 0.0) / slowed,
            flags=tuple(sorted({*entry.flags, "contended", "not_precise"} - {"converged"})),
        )
        for entry in _solved(networks, relative_target, confidence)
        if entry.workload not in known
    ]


def _solved(networks: Sequence[tuple[Space, Entry]], relative_target: float, confidence: float) -> list[Entry]:
    known = [_observed(space, entry) for space, entry in networks]
    keys = sorted({key for one in known for key in one.composition})
    features, priors = {key: effects_of(key) for key in keys}, analytic(keys, known)
    posterior = calibrate(known, priors, features, priors=WITHOUT_INTERCEPT, confidence=confidence)
    terms = posterior.toward(Terms.of(keys, priors, features))
    _, some = networks[0]
    of_networks = inherited([entry.flags for _, entry in networks])
    entries: list[Entry] = []
    for key, (middle, low, high) in zip(keys, posterior.operators_ns(terms).tolist(), strict=True):
        estimate_ns = max(LEAST_NS, middle)
        low_ns, high_ns = min(max(0.0, low), estimate_ns), max(high, estimate_ns)
        precise = high_ns - low_ns <= 2 * relative_target * estimate_ns
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
                statistic="solved",
                estimate=estimate_ns,
                low=low_ns,
                high=high_ns,
                confidence=posterior.confidence,
                scope="networks",
                rounds=some.rounds,
                common_share=1.0,
                flags=("converged" if precise else "not_precise", *of_networks),
                fingerprint=some.fingerprint,
            )
        )
    return entries


def _observed(space: Space, entry: Entry) -> Observed:
    """A network as its entry has it: what the whole sweep has in common is no error of one beside the others."""
    arch = space.parse(named(entry.workload, f"network:{space.name}") or "")
    error = (entry.relative_error or 0.0) * (1 - (entry.common_share or 0.0)) ** 0.5
    parts = {o.key: count for o, count in space.composition(arch).items() if count and not o.is_nothing}
    return Observed(arch, parts, entry.estimate or 0.0, error)
