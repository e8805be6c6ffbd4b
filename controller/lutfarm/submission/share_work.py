"""Who of a pool measures what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lutfarm.scheduling.policy import MeasuringPolicy
from lutfarm.scheduling.round_cost import seconds_of
from lutfarm.scheduling.work_sharing import Item, Share, choose_anchors, divide, expected_ns, item_of, shared_out
from lutfarm.store.interface import JobsAndRuns
from lutfarm_jobs.job_file.devices import LEAST_ANCHORS, PoolChoice
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.run import Probe
from lutfarm_jobs.sources import Sources


def share_plan(
    plan: Sequence[Measurement],
    choice: PoolChoice,
    devices: Sequence[str],
    *,
    sources: Sources,
    store: JobsAndRuns,
    job_id: str,
    finished_rounds: int,
    policy: MeasuringPolicy,
) -> tuple[tuple[Measurement, ...], Share]:
    """What is left of a plan in which every device measures everything, and how the devices share it.

    Anchors come from the job's content alone, so that the same job has the same ones again.  What a stored job has
    given to a device stays with it; what a device that is not ready has measured in `finished_rounds` stays done.
    """
    mine = {item_of(m): m for m in plan if m.device == devices[0]}
    by_workload = {m.workload: expected_ns(m.workload, sources) for m in mine.values()}
    sizes_ns = {item: by_workload[m.workload] for item, m in mine.items()}
    share = Share(
        choice.profile, tuple(devices), choose_anchors(tuple(mine.values()), sizes_ns, choice.anchor_count), choice.allowed_spread
    )
    probes = store.probes([m.key for m in plan if m.device in set(devices)])
    probed_ns = _probed(plan, probes)
    seconds = {item: seconds_of(probed_ns.get(item, size), policy.slicing) for item, size in sizes_ns.items()}
    found = store.job(job_id)
    kept: Mapping[Item, str | None] = {}
    if found is not None and found[0].id == job_id:
        kept = _kept(store.measurements(job_id), store.round_counts(job_id), share, finished_rounds)
    left = {item: s for item, s in seconds.items() if item not in share.anchors and item not in kept}
    given = {item: device for item, device in kept.items() if device is not None}
    busy = {
        device: sum(seconds[item] for item, name in given.items() if name == device and item in seconds) for device in devices
    }
    return shared_out(plan, share, given | divide(left, devices, busy_s=busy)), share


def _probed(plan: Sequence[Measurement], probes: Mapping[str, Sequence[Probe]]) -> dict[Item, float]:
    """The longest iteration that any device's newest probe found, in ns."""
    found: dict[Item, float] = {}
    for measurement in plan:
        for probe in probes.get(measurement.key, ())[:1]:
            if probe.iteration_ns:
                item = item_of(measurement)
                found[item] = max(found.get(item, 0.0), float(probe.iteration_ns))
    return found


def _kept(
    stored: Sequence[Measurement], counts: Mapping[str, Mapping[str, int]], share: Share, rounds: int
) -> dict[Item, str | None]:
    """Who was given what when this job ran before: None for what a device that is not there now has finished."""
    anchors: dict[tuple[str, ...], int] = {}
    for measurement in stored:
        if item_of(measurement) in share.anchors and counts.get(measurement.key, {}).get("complete", 0):
            place = measurement.device, *item_of(measurement)[1:]
            anchors[place] = anchors.get(place, 0) + 1
    kept: dict[Item, str | None] = {}
    for measurement in stored:
        item, count = item_of(measurement), counts.get(measurement.key, {})
        if item in share.anchors or (item in kept and kept[item] is None):
            continue
        done = count.get("complete", 0) >= rounds or count.get("failed", 0) > 0
        if measurement.device in share.units:
            kept[item] = measurement.device  # the last one counts: it has the work of those before
        elif done and anchors.get((measurement.device, *item[1:]), 0) >= LEAST_ANCHORS:
            kept[item] = None
    return kept
