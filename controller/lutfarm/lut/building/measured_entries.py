"""From the runs of a job to entries.  Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from statistics import median

import numpy as np

from lutfarm.lut import fed
from lutfarm.lut.building.scatter import scatter
from lutfarm.lut.delegated import delegated
from lutfarm.lut.schema.entry import Entry, Kind
from lutfarm.records.fingerprints import BETWEEN_WORKLOADS, disagreement, words
from lutfarm.statistics import Sample, Summary, Target, common_share, priors_of, sample, summarize
from lutfarm.statistics.estimates.flags import flags
from lutfarm.statistics.estimates.summary import reaching
from lutfarm.statistics.intervals.interval import log_variance
from lutfarm.statistics.intervals.sweep import SweepFit, common_part, fit_sweep, widened
from lutfarm.statistics.samples.conditions import canary_level, extremes, scope, wall_over_cpu
from lutfarm_jobs.errors import RunsDisagree
from lutfarm_jobs.measurement import Measurement, Workload
from lutfarm_jobs.measurement_key import BUILT_BATCH, BUILT_PRECISION, MeasurementKey
from lutfarm_jobs.run import Failure, Probe, Run


@dataclass(frozen=True, slots=True)
class Built:
    """The entries in the plan's order, zero entries last; the keys that have neither a run nor a failure; fingerprints."""

    entries: tuple[Entry, ...]
    missing: tuple[str, ...]
    fingerprints: Mapping[str, Mapping[str, str]]  # by the hash that entries hold


@dataclass(frozen=True, slots=True)
class _Measured:
    """One measurement that has a sample; `probe` is its newest."""

    measurement: Measurement
    sample: Sample
    load_ns: float | None
    first_inference_ns: float | None
    peak_memory_bytes: int | None
    notes: tuple[str, ...] = ()  # what its probe noted, as flags

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """That of all its processes."""
        return self.sample.processes[-1].run.fingerprint


def entries_of(
    measurements: Sequence[Measurement],
    runs: Iterable[Run],
    *,
    probes: Mapping[str, Sequence[Probe]],
    zeros: Collection[str],
    target: Target,
    tools: Collection[str],
    scattered: bool = True,
) -> Built:
    """Entries from what was planned and what came of it.

    Runs of one measurement must follow each other, as `Store.runs` gives them; `probes` by measurement key, newest first;
    `zeros` are keys of operators that are nothing by structure; `tools` the runtimes that are native tools.
    `scattered`: with where the scatter comes from and how far slow iterations reach, which takes a third of the time and which
    no flag and no verdict needs.  Raises ValueError where runs do not follow each other, RunsDisagree where runs that were made
    by different software or protocols would stand side by side.
    """
    planned = {measurement.key: measurement for measurement in measurements}
    results: dict[str, _Measured | Entry] = {}
    for key, group in groupby((run for run in runs if run.key in planned), key=lambda run: run.key):
        if key in results:
            raise ValueError(f"the runs of {key} do not follow each other; sort them by key")
        result = _of_runs(planned[key], list(group), probes.get(key, ()))
        if result is not None:
            results[key] = result
    for key, measurement in planned.items():
        failure = _probe_failure(probes.get(key, ()))
        if key not in results and failure is not None:
            results[key] = _failed(measurement, failure, ())
    measured = [value for value in results.values() if isinstance(value, _Measured)]
    _check_agreement(measured)
    entries = {key: value for key, value in results.items() if isinstance(value, Entry)} | _estimated(
        measured, target, scattered=scattered
    )
    return Built(
        entries=(
            *(_with_inputs(entries[key], m, tools) for key, m in planned.items() if key in entries),
            *_zero_entries(measurements, zeros),
        ),
        missing=tuple(key for key in planned if key not in entries),
        fingerprints={fingerprint_hash(one.fingerprint): dict(one.fingerprint) for one in measured},
    )


def _check_agreement(measured: Sequence[_Measured]) -> None:
    """Raises RunsDisagree where entries of one device, backend and conditions come from different software or protocols."""
    groups: dict[tuple[str, str, str], list[tuple[str, Mapping[str, str]]]] = {}
    for one in measured:
        m = one.measurement
        groups.setdefault((m.device, *MeasurementKey.parse(m.key).process), []).append((m.workload.key, one.fingerprint))
    for (device, backend, _), fingerprints in groups.items():
        if differences := disagreement(fingerprints, may_differ=BETWEEN_WORKLOADS):
            raise RunsDisagree(
                f"{device} with {backend}: no table is built from runs that disagree: {words(differences)}.  Run the job again: "
                "it measures what is outdated"
            )


def _of_runs(measurement: Measurement, runs: Sequence[Run], probes: Sequence[Probe]) -> _Measured | Entry | None:
    """The newest result counts: a failure after good runs is a failure, and one before them is over."""
    newest = max(runs, key=lambda run: (run.started_s, run.id))
    counted = sample(run for run in runs if run.status != "failed")
    if newest.failure is not None or counted is None:
        failure = newest.failure or next((run.failure for run in runs if run.failure), None)
        return _failed(measurement, failure, [run.id for run in runs]) if failure else None
    probe = probes[0] if probes else None
    used = [process.run for process in counted.processes]
    return _Measured(
        measurement=measurement,
        sample=counted,
        load_ns=_median([run.load_ns for run in used], probe and probe.load_ns),
        first_inference_ns=_median([run.first_inference_ns for run in used], probe and probe.first_inference_ns),
        # A round's process holds other workloads too; the probe's child held this one alone.
        peak_memory_bytes=(probe and probe.peak_memory_bytes) or extremes(run.peak_memory_bytes for run in used)[1],
        notes=tuple(sorted(probe.notes)) if probe else (),
    )


def _median(values: Sequence[int | None], otherwise: int | None) -> float | None:
    known = [value for value in values if value is not None]
    if known:
        return float(median(known))
    return None if otherwise is None else float(otherwise)


def _probe_failure(probes: Sequence[Probe]) -> Failure | None:
    return probes[0].failure if probes else None


def _estimated(measured: Sequence[_Measured], target: Target, *, scattered: bool) -> dict[str, Entry]:
    """Entries of one device, backend and statistic share what is known of the spread between processes."""
    groups: dict[tuple[str, str, str], list[_Measured]] = {}
    for one in measured:
        alike = (one.measurement.device, one.measurement.backend.process_key, one.sample.statistic)
        groups.setdefault(alike, []).append(one)
    entries: dict[str, Entry] = {}
    for (_, _, statistic), group in groups.items():
        if statistic == "p10_swept":
            swept = fit_sweep({one.measurement.key: dict(one.sample.estimates_by_round) for one in group})
            if swept is not None:
                entries |= _swept(group, swept, target, scattered=scattered)
                continue
        summaries = [
            summarize(one.sample, target, prior_spread=prior.spread, prior_df=prior.df)
            for one, prior in zip(group, priors_of([one.sample for one in group]), strict=True)
        ]
        share = common_share([one.sample.estimates_by_round for one in group], [summary.interval.spread for summary in summaries])
        for one, summary in zip(group, summaries, strict=True):
            entries[one.measurement.key] = _entry(one, summary, target, share, scattered=scattered)
    return entries


def _swept(group: Sequence[_Measured], fit: SweepFit, target: Target, *, scattered: bool) -> dict[str, Entry]:
    """Entries of one sweep: each process's common shift is taken out, and what that leaves uncertain added to each."""
    mended = [replace(one, sample=_corrected(one.sample, fit.corrected[one.measurement.key])) for one in group]
    entries: dict[str, Entry] = {}
    for one, prior in zip(mended, priors_of([one.sample for one in mended]), strict=True):
        # What canaries can't show is no error of one process: it is not averaged, nor counted twice.
        bare = replace(one.sample, hidden=0.0)
        own = summarize(bare, target, prior_spread=prior.spread, prior_df=prior.df)
        interval = reaching(widened(own.interval, fit, confidence=target.confidence), one.sample)
        raised = flags(
            one.sample, interval, relative_target=target.relative_half_width, minimum_rounds=target.least_rounds(prior.df)
        )
        share = common_part(own.interval, fit, len(one.sample.processes))
        entries[one.measurement.key] = _entry(one, Summary(interval, raised), target, share, scattered=scattered)
    return entries


def _corrected(uncorrected: Sample, estimates_ns: Mapping[str, float]) -> Sample:
    processes = tuple(replace(process, estimate=estimates_ns[process.run.round_id]) for process in uncorrected.processes)
    return replace(uncorrected, processes=processes)


def _entry(measured: _Measured, summary: Summary, target: Target, share: float, *, scattered: bool) -> Entry:
    counted, looks, interval = measured.sample, measured.sample.iterations, summary.interval
    variance = log_variance(counted.estimates)
    temperatures = extremes(moment.temperature_c for moment in counted.environments)
    frequencies = extremes(moment.frequency_khz for moment in counted.environments)
    return replace(
        _named(measured.measurement, "measured"),
        statistic=counted.statistic,
        estimate=interval.estimate,
        low=interval.low,
        high=interval.high,
        confidence=target.confidence,
        scope=scope(counted),
        rounds=len(counted.processes),
        iterations=looks.count,
        slices_kept=len(counted.slices),
        slices_rejected=counted.slices_rejected,
        runs_left_out=counted.runs_left_out,
        mean=looks.mean,
        median=looks.median,
        p10=looks.p10,
        p25=looks.p25,
        p95=looks.p95,
        min=looks.min,
        std=looks.std,
        variation=None if looks.std is None else looks.std / looks.mean,
        between_spread=None if variance is None else float(np.sqrt(variance)),
        within_spread=looks.within_spread,
        **(scatter(counted, interval) if scattered else {}),
        common_share=share,
        effective_iterations=looks.effective,
        contended_median=counted.contended_median,
        canary_level=canary_level(counted),
        involuntary_switches=sum(piece.involuntary_switches for piece in counted.slices),
        wall_over_cpu=wall_over_cpu(counted),
        temperature_low_c=temperatures[0],
        temperature_high_c=temperatures[1],
        frequency_low_khz=frequencies[0],
        frequency_high_khz=frequencies[1],
        load_ns=measured.load_ns,
        first_inference_ns=measured.first_inference_ns,
        peak_memory_bytes=measured.peak_memory_bytes,
        **delegated(counted),
        flags=(*summary.flags, *measured.notes, *fed.raised(measured.measurement)),
        fingerprint=fingerprint_hash(measured.fingerprint),
        run_ids=tuple(process.run.id for process in counted.processes),
    )


def fingerprint_hash(fingerprint: Mapping[str, str]) -> str:
    """16 hex digits of what may change under the same measurement key."""
    return hashlib.sha256(json.dumps(dict(fingerprint), sort_keys=True).encode()).hexdigest()[:16]


def _named(measurement: Measurement, kind: Kind) -> Entry:
    return Entry(
        key=measurement.key,
        workload=measurement.workload.key,
        device=measurement.device,
        backend=measurement.backend.key,
        kind=kind,
        conditions=measurement.conditions.key,
        quantity=measurement.quantity,
        precision=measurement.backend.precision,
        batch_size=measurement.conditions.batch_size,
        path=measurement.workload.path,
        takes=measurement.workload.takes,
    )


def _with_inputs(entry: Entry, measurement: Measurement, tools: Collection[str]) -> Entry:
    if not measurement.workload.feeds:
        return entry
    by_tool = measurement.backend.runtime in tools
    return replace(entry, inputs=fed.inputs(measurement, by_tool=by_tool), inputs_assumed=fed.assumed(measurement))


def _failed(measurement: Measurement, failure: Failure, run_ids: Sequence[str]) -> Entry:
    return replace(
        _named(measurement, "failed"), run_ids=tuple(run_ids), failure_code=failure.code, failure_detail=failure.detail
    )


def _zero_entries(measurements: Sequence[Measurement], zeros: Collection[str]) -> Iterable[Entry]:
    """One for each operator that is nothing by structure, for each device and what runs there under which conditions."""
    by_process = {(m.device, *MeasurementKey.parse(m.key).process): _as_built(m) for m in measurements}
    for measurement in by_process.values():
        for key in zeros:
            zero = replace(measurement, workload=Workload("operator", key))
            yield replace(_named(zero, "zero"), estimate=0.0, low=0.0, high=0.0)


def _as_built(measurement: Measurement) -> Measurement:
    """Under the same conditions, but of what lutfarm builds: operators have no model file's precision and batch."""
    return replace(
        measurement,
        backend=replace(measurement.backend, precision=BUILT_PRECISION),
        conditions=replace(measurement.conditions, batch_size=BUILT_BATCH),
    )
