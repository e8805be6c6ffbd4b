"""Pools of equal devices: which units a job's `profile:` stands for, and who of them measures what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lutfarm.device_states import NO_WORK, DeviceRecord
from lutfarm.scheduler import Terms, seconds_of
from lutfarm.scheduling.work_sharing import Item, Share, choose_anchors, divide, expected_ns, item_of, shared_out
from lutfarm.store.base import Store
from lutfarm_agents.device import Device
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.expand import Sources
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.run import Probe
from lutfarm_jobs.spec import LEAST_ANCHORS, JobSpec, PoolChoice


def units_of(
    choice: PoolChoice,
    registered: Mapping[str, Device],
    records: Mapping[str, DeviceRecord],
    machines: Mapping[str, str],
    *,
    where: str,
) -> dict[str, Device]:
    """The devices of a pool's profile that work may be given to, by name.

    One that is busy or cooling is waited for; the job finds out about one that is lost.  `machines`: by name, what each last
    said it is.  Raises SpecError that says in which state the others are, or which two are one piece of hardware.
    """
    mine = {name: device for name, device in registered.items() if device.profile == choice.profile}
    usable = {name: device for name, device in mine.items() if records[name].state not in NO_WORK}
    for name in usable:
        if twins := twins_of(name, usable.values(), machines):
            raise SpecError(
                f"{where}: {name} and {twins[0]} are the same hardware under two names, and no two units of {choice.profile}; "
                f"lutfarm device retire {twins[0]} takes one out"
            )
    if usable:
        return usable
    if mine:
        states = ", ".join(
            f"{name} is {records[name].state}" + (f" ({records[name].reason})" if records[name].reason else "") for name in mine
        )
        raise SpecError(
            f"{where}: no device of the profile {choice.profile} may be given work: {states}; see lutfarm device check"
        )
    known = ", ".join(sorted({device.profile for device in registered.values()})) or "none"
    raise SpecError(f"{where}: no device of the profile {choice.profile} is registered; profiles that have one: {known}")


def machines_of(store: Store) -> dict[str, str]:
    """By device, the hardware that it last said it is; until it boots again."""
    return {device.name: last[0].machine_id for device in store.devices() if (last := store.hello(device.name))}


def twins_of(name: str, devices: Iterable[Device], machines: Mapping[str, str]) -> list[str]:
    """The other devices that are the same hardware."""
    mine = machines.get(name)
    return [each.name for each in devices if mine and each.name != name and machines.get(each.name) == mine]


def share_choices(spec: JobSpec) -> dict[int, PoolChoice]:
    """The pools of a job whose units share the work, by their position in `devices`."""
    return {
        position: wanted for position, wanted in enumerate(spec.devices)
        if isinstance(wanted, PoolChoice) and wanted.replicate == "share"
    }


def refuse_overlap(chosen: Mapping[int, Sequence[str]], shared: Mapping[int, PoolChoice]) -> None:
    """Raises SpecError where a unit that shares work is asked for elsewhere, too: it would measure everything and not."""
    for position in shared:
        for other, names in chosen.items():
            both = sorted(set(names) & set(chosen[position]))
            if other != position and both:
                raise SpecError(
                    f"devices[{position}]: {both[0]} shares the work of its pool and is asked for by devices[{other}], too; "
                    "leave one out"
                )


def share_plan(
    plan: Sequence[Measurement],
    choice: PoolChoice,
    units: Sequence[str],
    *,
    sources: Sources,
    store: Store,
    job_id: str,
    finished_rounds: int,
    terms: Terms,
) -> tuple[tuple[Measurement, ...], Share]:
    """What is left of a plan in which every unit measures everything, and how the units share it.

    Anchors come from the job's content alone, so that the same job has the same ones again.  What a stored job has
    given to a unit stays with it; what a unit that is not ready has measured in `finished_rounds` stays done.
    """
    mine = {item_of(m): m for m in plan if m.unit == units[0]}
    by_workload = {m.workload: expected_ns(m.workload, sources) for m in mine.values()}
    sizes_ns = {item: by_workload[m.workload] for item, m in mine.items()}
    share = Share(
        choice.profile, tuple(units), choose_anchors(tuple(mine.values()), sizes_ns, choice.anchor_count), choice.allowed_spread
    )
    probes = store.probes([m.key for m in plan if m.unit in set(units)])
    probed_ns = _probed(plan, probes)
    seconds = {item: seconds_of(probed_ns.get(item, size), terms.plan) for item, size in sizes_ns.items()}
    found = store.job(job_id)
    kept: Mapping[Item, str | None] = {}
    if found is not None and found[0].id == job_id:
        kept = _kept(store.measurements(job_id), store.round_counts(job_id), share, finished_rounds)
    left = {item: s for item, s in seconds.items() if item not in share.anchors and item not in kept}
    given = {item: unit for item, unit in kept.items() if unit is not None}
    busy = {unit: sum(seconds[item] for item, name in given.items() if name == unit and item in seconds) for unit in units}
    return shared_out(plan, share, given | divide(left, units, busy_s=busy)), share


def _probed(plan: Sequence[Measurement], probes: Mapping[str, Sequence[Probe]]) -> dict[Item, float]:
    """The longest iteration that any unit's newest probe found, in ns."""
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
    """Who was given what when this job ran before: None for what a unit that is not there now has finished."""
    anchors: dict[tuple[str, ...], int] = {}
    for measurement in stored:
        if item_of(measurement) in share.anchors and counts.get(measurement.key, {}).get("complete", 0):
            place = measurement.unit, *item_of(measurement)[1:]
            anchors[place] = anchors.get(place, 0) + 1
    kept: dict[Item, str | None] = {}
    for measurement in stored:
        item, count = item_of(measurement), counts.get(measurement.key, {})
        if item in share.anchors or (item in kept and kept[item] is None):
            continue
        done = count.get("complete", 0) >= rounds or count.get("failed", 0) > 0
        if measurement.unit in share.units:
            kept[item] = measurement.unit          # the last one counts: it has the work of those before
        elif done and anchors.get((measurement.unit, *item[1:]), 0) >= LEAST_ANCHORS:
            kept[item] = None
    return kept
