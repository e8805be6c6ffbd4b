"""Puts a farm together: devices by name or label, cores, a pool, a workshop."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from lutfarm import pools
from lutfarm.device_states import NO_WORK
from lutfarm.farm import Farm, Submission
from lutfarm.home import Home
from lutfarm.interpreter import runtime_lacking
from lutfarm.local_pool import LocalPool
from lutfarm.pool import AgentPool
from lutfarm.scheduler import Cooling, Terms
from lutfarm.scheduling.work_sharing import Share, expected_ns
from lutfarm.stopping import finished_rounds
from lutfarm.store import Store, owners
from lutfarm.workshop import Workshop
from lutfarm_agents.device import Device
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.expand import Sources, expand, nothings, resolve, with_definitions
from lutfarm_jobs.round import SlicePlan
from lutfarm_jobs.spec import DeviceChoice, JobSpec, PoolChoice, load_job
from lutfarm_profiles import DeviceProfile, loader
from lutfarm_profiles.cores import cores_for

PROFILED = 2                                       # iterations under the profiler after each slice
PoolKind = Literal["ray", "local"]


def choose_devices(spec: JobSpec, store: Store) -> dict[str, Device]:
    """The registered devices that a job names.  Raises SpecError naming what is not there."""
    registered = {device.name: device for device in store.devices()}
    chosen = _chosen(spec, registered, store)
    return {name: registered[name] for names in chosen.values() for name in names}


def _chosen(spec: JobSpec, registered: Mapping[str, Device], store: Store) -> dict[int, tuple[str, ...]]:
    """By position in the job's `devices`, the names that it stands for.  Raises SpecError."""
    now_s = time.time()
    chosen: dict[int, tuple[str, ...]] = {}
    for position, wanted in enumerate(spec.devices):
        if isinstance(wanted, PoolChoice):
            records = {
                name: store.device_record(name, now_s) for name, device in registered.items() if device.profile == wanted.profile
            }
            chosen[position] = tuple(pools.units_of(
                wanted, registered, records, pools.machines_of(store), where=f"devices[{position}]"
            ))
        elif isinstance(wanted, DeviceChoice):
            found = [d.name for d in registered.values() if wanted.label.items() <= dict(d.labels).items()]
            if not found:
                labels = ", ".join(f"{key}={value}" for key, value in wanted.label.items())
                raise SpecError(f"devices[{position}]: no registered device has the label {labels}; {_known(registered)}")
            chosen[position] = tuple(found)
        elif wanted in registered:
            chosen[position] = (wanted,)
        else:
            raise SpecError(
                f"devices[{position}]: no device is registered as {wanted!r}; {_known(registered)}. "
                f"For this machine: lutfarm device register {wanted} --local"
            )
    pools.refuse_overlap(chosen, pools.share_choices(spec))
    return chosen


def _known(registered: Mapping[str, Device]) -> str:
    return f"registered: {', '.join(registered)}" if registered else "none is registered yet"


def submission(path: Path, store: Store, *, retry_failed: bool = False) -> tuple[Submission, Sources]:
    """A job file with everything that its names stand for.  Raises SpecError."""
    spec = load_job(path)
    try:
        return submit(spec, path.absolute().parent, store, retry_failed=retry_failed)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from error


def submit(
    spec: JobSpec, folder: Path, store: Store, *, retry_failed: bool = False
) -> tuple[Submission, Sources]:
    """A job whose relative paths start at `folder`, with everything that its names stand for."""
    registered = {device.name: device for device in store.devices()}
    chosen = _chosen(spec, registered, store)
    devices = {name: registered[name] for names in chosen.values() for name in names}
    check_conditions(spec, devices)
    _check_threads(spec, devices, store)
    _check_runtimes(spec, devices, store)
    sources = resolve(spec, folder)
    spec = with_definitions(spec, sources)
    terms = terms_of(spec, devices)
    plan = expand(spec, sources, tuple(devices))
    shares: list[Share] = []
    for position, choice in pools.share_choices(spec).items():
        units = chosen[position]
        plan, share = pools.share_plan(
            plan, choice, units, sources=sources, store=store, job_id=spec.id, finished_rounds=finished_rounds(spec),
            terms=terms[units[0]],
        )
        shares.append(share)
    zeros = nothings(spec, sources)
    guessed = {workload: expected_ns(workload, sources) for workload in {m.workload for m in plan}}
    return Submission(
        spec, plan, devices, terms, zeros, retry_failed, tuple(shares),
        expected_ns={m.key: guessed[m.workload] for m in plan},
    ), sources


def terms_of(spec: JobSpec, devices: Mapping[str, Device]) -> dict[str, Terms]:
    """By device: the constants of its profile, and what the job says."""
    conditions = spec.conditions
    sustained_ns = round((conditions.sustained_s or 0.0) * 1e9)
    inside = spec.composition == "in_network"
    asked = SlicePlan(passes=spec.sampling.passes, sustained_ns=sustained_ns, profile=PROFILED if inside else 0)
    profiles = {name: loader.load(device.profile) for name, device in devices.items()}
    return {
        name: Terms(
            _swept(profile.slice_plan(asked), sweep=spec.sampling.sweep or inside),
            profile.memory_budget_bytes, profile.workload_limits(),
            setting=profile.setting(cluster=conditions.cluster, fixed=conditions.clocks == "fixed"),
            strict=conditions.strict, cooling=_cooling(profile), hold_above=profile.canary.hold_above,
            cooldown_s=profile.cooldown_s,
        )
        for name, profile in profiles.items()
    }


def _swept(plan: SlicePlan, *, sweep: bool) -> SlicePlan:
    """Without a gate for anything, where the job asks for a sweep."""
    return replace(plan, long_ns=1) if sweep else plan


def _cooling(profile: DeviceProfile) -> Cooling | None:
    thermal = profile.thermal
    return Cooling(thermal.limit_c, thermal.resume_c, thermal.wait_s) if thermal else None


def check_conditions(spec: JobSpec, devices: Mapping[str, Device]) -> None:
    """Raises SpecError where a device's profile can't give what the job asks for."""
    conditions = spec.conditions
    for device in devices.values():
        profile = loader.load(device.profile)
        profile.measured_cpus((), cluster=conditions.cluster)
        if conditions.clocks == "fixed" and profile.frequency is None:
            raise SpecError(
                f"conditions.clocks: {device.name}'s profile {profile.name} does not say how its clocks are fixed; "
                "add `frequency` to a profile of your own, or ask for free ones"
            )


def _check_threads(spec: JobSpec, devices: Mapping[str, Device], store: Store) -> None:
    """Raises SpecError where a device, as it last described itself, has fewer cores than a backend has threads.

    NotReady where it has none of those that its profile says.
    """
    threads = max(backend.threads for backend in spec.backends)
    for device in devices.values():
        hello = store.hello(device.name)
        if hello is not None:
            profile = loader.load(device.profile)
            cores_for(profile, hello[0].cpus, threads=threads, device=device.name, cluster=spec.conditions.cluster)


def _check_runtimes(spec: JobSpec, devices: Mapping[str, Device], store: Store) -> None:
    """Raises SpecError where a device has not what a backend needs: Python, a runtime there, a tool that somebody named.

    Which runtimes its Python has is what it said last.  One that is out of work is not asked for any.
    """
    now_s = time.time()
    for device in devices.values():
        hello = None if store.device_record(device.name, now_s).state in NO_WORK else store.hello(device.name)
        for runtime in sorted({backend.runtime for backend in spec.backends}):
            if lacking := runtime_lacking(device, hello[0] if hello else None, runtime):
                raise SpecError(f"backends: {lacking}")


def measured_cpus(spec: JobSpec, devices: Mapping[str, Device]) -> frozenset[int]:
    """The cores of this machine that rounds will run on: the last of the measured cluster, as many as the job's threads."""
    threads = max(backend.threads for backend in spec.backends)
    found: set[int] = set()
    for device in devices.values():
        if device.transport == "local":
            cpus = loader.load(device.profile).measured_cpus(sorted(os.sched_getaffinity(0)), cluster=spec.conditions.cluster)
            found |= set(cpus[-threads:])
    return frozenset(found)


def keep_off(cpus: frozenset[int]) -> None:
    """Keep this process, and what it starts, off the measured cores, where there are others."""
    if others := os.sched_getaffinity(0) - cpus:
        os.sched_setaffinity(0, others)


@contextmanager
def farm(
    submitted: Submission, sources: Sources, store: Store, home: Home, *, kind: PoolKind
) -> Generator[Farm]:
    """A farm for one job; its pool is closed at the end."""
    cpus = measured_cpus(submitted.spec, submitted.devices)
    before = os.sched_getaffinity(0)
    holder = f"{owners.user()}@{socket.gethostname()}: job {submitted.spec.name}, process {os.getpid()}"
    with contextlib.ExitStack() as stack:
        stack.callback(os.sched_setaffinity, 0, before)
        keep_off(cpus)
        pool = stack.enter_context(contextlib.closing(_pool(kind, home, cpus)))
        yield Farm(store, pool, Workshop(home.models, sources), owners.me(), holder)


def _pool(kind: PoolKind, home: Home, cpus: frozenset[int]) -> AgentPool:
    if kind == "local":
        return LocalPool(state_dir=home.agents, measured_cpus=cpus)
    from lutfarm.ray_pool import RayPool  # Ray takes a second to import: only where it is used

    return RayPool.start(state_dir=home.agents, measured_cpus=cpus)
