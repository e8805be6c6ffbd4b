"""A table's entries for a pool of equal devices, beside those of its devices.  Pure."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from lutfarm.lut.schema.entry import Entry
from lutfarm.lut.schema.manifest import DeviceEffect, PoolFacts
from lutfarm.lut.table import LatencyTable
from lutfarm.records.fingerprints import BETWEEN_UNITS, BETWEEN_WORKLOADS, disagreement, words
from lutfarm.statistics import Interval, Target
from lutfarm.statistics.comparisons.devices import (
    DeviceEstimate,
    DeviceFit,
    anchored,
    corrected,
    disagreements,
    fit_devices,
    over_devices,
)
from lutfarm.statistics.comparisons.ratios import device_estimate
from lutfarm.statistics.estimates.flags import Flag
from lutfarm.statistics.samples.conditions import extremes
from lutfarm_jobs.errors import DevicesDiffer
from lutfarm_jobs.job_file.devices import LEAST_ANCHORS
from lutfarm_jobs.measurement import Place
from lutfarm_jobs.measurement_key import MeasurementKey

SCOPE_ALL = "devices"
SCOPE_SHARE = "rounds and anchors, for the mean device of the pool"
DEVICES_LEFT_OUT: Flag = "devices_left_out"


@dataclass(frozen=True, slots=True)
class Pooling:
    """How the devices of one profile are put together; the devices are those of the table that have this profile."""

    profile: str
    replicate: Literal["all", "share"] = "all"
    max_device_spread: float = 0.10  # for share

    @property
    def name(self) -> str:
        """What stands for the device in the pool's keys; no device can be called so, as it holds a colon."""
        return f"pool:{self.profile}"


def pooled(table: LatencyTable, pooling: Pooling, target: Target | None = None) -> LatencyTable:
    """The table with entries of the pool after those that it has.

    Raises DevicesDiffer where the pool has fewer than two devices or these disagree in what they were measured with; and, for
    devices that share the work, where they differ by more than `max_device_spread` or too few anchors were measured to tell.
    What can't be put together is missing in the result, never made up: what was measured on one device alone of those that
    replicate, or on one without anchors.
    """
    devices = sorted(facts.device for facts in table.manifest.devices if facts.profile == pooling.profile)
    of_devices = [entry for entry in table.entries if entry.device in set(devices)]
    if len(devices) < 2:
        has = f"only {devices[0]}" if devices else "none"
        raise DevicesDiffer(f"the pool {pooling.profile} needs two devices with entries in this table; it has {has}")
    groups: dict[Place, dict[str, list[Entry]]] = {}
    for entry in of_devices:
        by_workload = groups.setdefault(MeasurementKey.parse(entry.key).process, {})
        by_workload.setdefault(entry.workload, []).append(entry)
    entries: list[Entry] = []
    effects: list[DeviceEffect] = []
    wanted = target or Target()
    for (process, _), group in groups.items():
        named = {entry.backend for of_workload in group.values() for entry in of_workload}
        backend = named.pop() if len(named) == 1 else process
        _check_agreement(group, table.manifest.fingerprints, pooling, backend)
        merging = _shared(group, pooling, wanted, backend) if pooling.replicate == "share" else _replicated(group, wanted)
        entries += [
            merged for of_workload in group.values() if (merged := _entry(of_workload, merging, pooling, wanted, devices))
        ]
        effects += _effects(merging.fit, backend)
    facts = PoolFacts(
        name=pooling.name,
        profile=pooling.profile,
        replicate=pooling.replicate,
        devices=tuple(devices),
        max_device_spread=pooling.max_device_spread if pooling.replicate == "share" else None,
        effects=tuple(effects),
    )
    manifest = replace(
        table.manifest,
        pools=(*(pool for pool in table.manifest.pools if pool.name != pooling.name), facts),
        missing=(*table.manifest.missing, *_missing(table, of_devices, entries, pooling, set(devices))),
    )
    return LatencyTable.of([*(e for e in table.entries if e.device != pooling.name), *entries], manifest)


def _check_agreement(
    group: Mapping[str, Sequence[Entry]], known: Mapping[str, Mapping[str, str]], pooling: Pooling, backend: str
) -> None:
    """Raises DevicesDiffer where devices were measured with different software or protocols, or set differently."""
    fingerprints = [(e.device, known[e.fingerprint]) for entries in group.values() for e in entries if e.fingerprint in known]
    if differences := disagreement(fingerprints, may_differ=BETWEEN_UNITS | BETWEEN_WORKLOADS):
        raise DevicesDiffer(
            f"{pooling.profile} with {backend}: not merged, devices disagree in {words(differences)}.  Bring them to one state "
            "and run the job again; the devices' own entries are exported without --pool"
        )


def without_moved(table: LatencyTable, devices: Collection[str]) -> LatencyTable:
    """The table without the gaps of `devices`, which share the work, that another one of them has filled."""
    done = {(e.workload, e.backend, e.conditions) for e in table.entries if e.device in devices and e.kind != "zero"}

    def moved(key: str) -> bool:
        of = MeasurementKey.parse(key)
        return of.device in devices and (of.workload, of.backend, of.conditions) in done

    missing = tuple(key for key in table.manifest.missing if not moved(key))
    return LatencyTable(table.columns, replace(table.manifest, missing=missing))


@dataclass(frozen=True, slots=True)
class _Merging:
    """The pool's intervals by workload, which entries each rests on, and the fit of devices that share."""

    intervals: Mapping[str, Interval]
    used: Mapping[str, Sequence[Entry]]
    fit: DeviceFit | None = None


def _replicated(group: Mapping[str, Sequence[Entry]], target: Target) -> _Merging:
    used = {workload: alike for workload, entries in group.items() if len(alike := _alike(entries)) > 1}
    intervals = {
        workload: over_devices([_estimate(entry) for entry in alike], confidence=target.confidence)
        for workload, alike in used.items()
    }
    return _Merging(intervals, used)


def _shared(group: Mapping[str, Sequence[Entry]], pooling: Pooling, target: Target, backend: str) -> _Merging:
    used = {workload: alike for workload, entries in group.items() if (alike := _alike(entries))}
    if not used:
        return _Merging({}, {})
    estimates = {w: {entry.device: _estimate(entry) for entry in alike} for w, alike in used.items()}
    counts = Counter(device for by_device in estimates.values() if len(by_device) > 1 for device in by_device)
    able = {device for device, count in counts.items() if count >= LEAST_ANCHORS}
    estimates = {
        w: {device: estimate for device, estimate in by_device.items() if device in able} for w, by_device in estimates.items()
    }
    fit = fit_devices(estimates)
    if fit is None:
        every = sorted({entry.device for entries in group.values() for entry in entries})
        seen = ", ".join(f"{device} has {counts[device]}" for device in every)
        raise DevicesDiffer(
            f"{pooling.profile} with {backend}: the device effects can't be told: at least two devices need {LEAST_ANCHORS} "
            f"anchors that other devices measured, too; {seen}.  Run the job again to measure what is missing"
        )
    if reasons := disagreements(fit, pooling.max_device_spread):
        raise DevicesDiffer(
            f"{pooling.profile} with {backend}: not merged, max_device_spread is {100 * pooling.max_device_spread:g} %: "
            f"{'; '.join(reasons)}.  Look at these devices (cooling, clocks, other load), take the odd one out of the pool, "
            "or measure with replicate: all; the devices' own entries are exported without --pool"
        )
    intervals = {
        workload: anchored(workload, fit, confidence=target.confidence)
        if workload in fit.operators
        else corrected(next(iter(by_device.values())), next(iter(by_device)), fit, confidence=target.confidence)
        for workload, by_device in estimates.items()
        if by_device
    }
    kept = {w: [entry for entry in used[w] if entry.device in able] for w in intervals}
    return _Merging(intervals, kept, fit)


def _alike(entries: Sequence[Entry]) -> list[Entry]:
    """The measured entries of one workload that have one statistic: the most frequent one, an uncontended one if equal."""
    measured = [entry for entry in entries if entry.kind == "measured"]
    if not measured:
        return []
    counts = Counter(entry.statistic for entry in measured)
    best = min(counts, key=lambda name: (-counts[name], name == "p25_contended", name))
    return [entry for entry in measured if entry.statistic == best]


def _estimate(entry: Entry) -> DeviceEstimate:
    return device_estimate(
        entry.estimate or 0.0, entry.low or 0.0, entry.high or 0.0, confidence=entry.confidence, rounds=entry.rounds
    )


def _entry(entries: Sequence[Entry], merging: _Merging, pooling: Pooling, target: Target, devices: Sequence[str]) -> Entry | None:
    first = entries[0]
    named = _unmeasured(first, pooling)
    if all(entry.kind == "zero" for entry in entries):
        return replace(named, estimate=0.0, low=0.0, high=0.0)
    if all(entry.kind == "failed" for entry in entries):
        return replace(
            named,
            failure_code=first.failure_code,
            run_ids=tuple(name for entry in entries for name in entry.run_ids),
            failure_detail=f"on {', '.join(entry.device for entry in entries)}: {first.failure_detail}",
        )
    interval = merging.intervals.get(first.workload)
    if interval is None:
        return None
    used = merging.used[first.workload]
    expected = len(entries) if pooling.replicate == "share" else len(devices)
    flags = {flag for entry in used for flag in entry.flags} - {"converged", "not_precise"}
    precise = interval.relative_half_width <= target.relative_half_width and used[0].statistic != "p25_contended"
    return replace(
        _merged(named, used, interval, merging.fit),
        confidence=target.confidence,
        flags=(
            *(("converged",) if precise else ()),
            *sorted(flags),
            *(() if precise else ("not_precise",)),
            *((DEVICES_LEFT_OUT,) if len(used) < expected else ()),
        ),
    )


def _unmeasured(first: Entry, pooling: Pooling) -> Entry:
    """What the pool's entry says of what is measured, from one of its devices'."""
    return Entry(
        key=str(replace(MeasurementKey.parse(first.key), device=pooling.name)),
        workload=first.workload,
        device=pooling.name,
        backend=first.backend,
        kind=first.kind,
        conditions=first.conditions,
        quantity=first.quantity,
        quantity_unit=first.quantity_unit,
        inputs=first.inputs,
        inputs_assumed=first.inputs_assumed,
        precision=first.precision,
        batch_size=first.batch_size,
        path=first.path,
        takes=first.takes,
    )


def _merged(named: Entry, used: Sequence[Entry], interval: Interval, fit: DeviceFit | None) -> Entry:
    """With what the entries of its devices come to."""
    prints = "\n".join(sorted({entry.fingerprint for entry in used}))
    return replace(
        named,
        kind="measured",
        statistic=used[0].statistic,
        estimate=interval.estimate,
        low=interval.low,
        high=interval.high,
        scope=SCOPE_SHARE if fit else SCOPE_ALL,
        rounds=sum(entry.rounds for entry in used),
        iterations=sum(entry.iterations for entry in used),
        slices_kept=sum(entry.slices_kept for entry in used),
        slices_rejected=sum(entry.slices_rejected for entry in used),
        runs_left_out=sum(entry.runs_left_out for entry in used),
        between_spread=fit.between_devices if fit else interval.spread,
        common_share=1.0,  # a device is slow at every entry: errors of a sum don't average out
        involuntary_switches=sum(entry.involuntary_switches for entry in used),
        temperature_low_c=extremes(entry.temperature_low_c for entry in used)[0],
        temperature_high_c=extremes(entry.temperature_high_c for entry in used)[1],
        frequency_low_khz=extremes(entry.frequency_low_khz for entry in used)[0],
        frequency_high_khz=extremes(entry.frequency_high_khz for entry in used)[1],
        peak_memory_bytes=extremes(entry.peak_memory_bytes for entry in used)[1],
        fingerprint=hashlib.sha256(prints.encode()).hexdigest()[:16],
        run_ids=tuple(name for entry in used for name in entry.run_ids),
    )


def _effects(fit: DeviceFit | None, backend: str) -> list[DeviceEffect]:
    if fit is None:
        return []
    counts = Counter(device for _, device in fit.residuals)
    return [
        DeviceEffect(device, backend, math.exp(effect), math.sqrt(fit.effect_variance(device)), counts[device])
        for device, effect in fit.effects.items()
    ]


def _missing(
    table: LatencyTable, of_devices: Sequence[Entry], entries: Sequence[Entry], pooling: Pooling, devices: set[str]
) -> list[str]:
    """The pool's keys of what some device has or lacks and the pool has no entry of."""
    has = {entry.key for entry in entries} | set(table.manifest.missing)
    keys: dict[str, None] = {}
    for key in (*(entry.key for entry in of_devices), *table.manifest.missing):
        of = MeasurementKey.parse(key)
        if of.device in devices:
            keys[str(replace(of, device=pooling.name))] = None
    return [key for key in keys if key not in has]
