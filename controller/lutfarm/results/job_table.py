"""From the stored runs of a job to its table."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

from lutfarm.lut import LatencyTable, Manifest, Pooling, TableBackend, TableDevice, pooled, without_moved
from lutfarm.lut.building.build_table import build_table
from lutfarm.lut.building.manifest_as_measured import as_measured
from lutfarm.lut.building.profiled import in_network
from lutfarm.lut.building.sandwiched import sandwiched
from lutfarm.lut.building.solved import solved
from lutfarm.results.job_entries import JobRuns, judged, runs_of
from lutfarm.store.interface import DeviceStore, Store
from lutfarm.submission.device_pools import share_choices
from lutfarm_agents.device import Device, Hello
from lutfarm_agents.fingerprint import runtime_version
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.expand import read_definition, space_of
from lutfarm_jobs.job_file.workloads import SpaceWorkload
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.measurement_key import named
from lutfarm_jobs.run import Probe
from lutfarm_jobs.runtimes import told_from_networks


def table_of(store: Store, job_id: str, *, pool: str | None = None) -> LatencyTable:
    """The table of a job, by its id, name or the start of its id; with entries of the pool of a profile too, if wanted.

    Without what studies of whole networks say of it: see studies.validated_table.

    Raises SpecError where there is no such job or profile, DevicesDiffer where the pool's devices can't be put together.
    """
    stored = runs_of(store, job_id)
    spec, plan, devices = stored.spec, stored.plan, stored.devices
    shared = {choice.profile: choice for choice in share_choices(spec).values()}
    target = stored.target
    floors = _call_floors(plan, stored.probes)
    call_ns = {(device, key): float(ns) for device, by in floors.items() for key, ns in by.items()}
    manifest = _manifest(store, stored, floors)
    table = build_table(
        plan, stored.runs, probes=stored.probes, zeros=stored.job.zeros, target=target, tools=stored.tools, manifest=manifest
    )
    table = table.with_manifest(as_measured(table))
    if spec.composition == "sandwiched":
        table = sandwiched(table, target.relative_half_width, call_ns=call_ns)
    if spec.composition == "in_network":
        table = _inside(store, stored, call_ns, table)
    table = without_moved(table, {name for name, each in devices.items() if each.device.profile in shared})
    if pool is None:
        return table
    profiles = sorted({each.device.profile for each in devices.values()})
    if pool not in profiles:
        raise SpecError(f"job {stored.job.name} measured on no device of the profile {pool[:80]!r}; it has {', '.join(profiles)}")
    choice = shared.get(pool)
    pooling = Pooling(pool, "share", choice.allowed_spread) if choice else Pooling(pool)
    return pooled(table, pooling, target)


def _inside(store: Store, stored: JobRuns, call_ns: Mapping[tuple[str, str], float], table: LatencyTable) -> LatencyTable:
    """With operators from networks: those that ran under a profiler, or, without one, solved from all of them."""
    plan, target = stored.plan, stored.target
    here = Path.cwd()  # for jobs of before they carried what their spaces' files say
    spaces = [
        space_of(w.space, w.definition or read_definition(w.space, here), here)
        for w in stored.spec.workloads
        if isinstance(w, SpaceWorkload)
    ]
    layers: dict[str, tuple[Sequence[str], Mapping[str, int]]] = {}
    first = ""
    for space in (known.under(runtime) for known in spaces for runtime in told_from_networks("profiled")):
        for name in {m.workload.name for m in plan}:
            if (encoding := named(name, space.name)) is None:
                continue
            arch = space.parse(encoding)
            labels = space.network(arch).labels
            layers[name] = labels, {operator.key: count for operator, count in space.composition(arch).items()}
            first = labels[0]
    timed = in_network(
        table,
        judged(store, stored.job.id),
        plan,
        layers,
        call_ns=call_ns,
        first=first,
        relative_target=target.relative_half_width,
        confidence=target.confidence,
    )
    return solved(timed, spaces, told_from_networks("solved"), target.relative_half_width, confidence=target.confidence)


def _manifest(store: DeviceStore, stored: JobRuns, floors: Mapping[str, Mapping[str, int]]) -> Manifest:
    job, plan, devices = stored.job, stored.plan, stored.devices
    hellos = {name: hello[0] for name in devices if (hello := store.hello(name))}
    protocol = {name: asdict(policy.slicing) for name, policy in stored.policies.items()}
    names = {workload.space for workload in stored.spec.workloads if isinstance(workload, SpaceWorkload)}
    return Manifest(
        job_id=job.id,
        job_name=job.name,
        created_s=time.time(),
        lutfarm_version=importlib.metadata.version("lutfarm"),
        space=names.pop() if len(names) == 1 else None,
        devices=tuple(_device_facts(devices[name].device, hellos.get(name), floors.get(name, {})) for name in sorted(devices)),
        backends=tuple(
            TableBackend(
                backend.key,
                backend.runtime,
                backend.provider,
                backend.threads,
                backend.precision,
                {device: runtime_version(hello, backend.runtime) for device, hello in hellos.items()},
            )
            for backend in dict.fromkeys(m.backend for m in plan)
        ),
        files={m.workload.key: m.workload.path for m in plan if m.workload.path},
        protocol=protocol,
        protocol_hash=hashlib.sha256(json.dumps(protocol, sort_keys=True).encode()).hexdigest()[:16],
    )


def _call_floors(plan: Sequence[Measurement], probes: Mapping[str, Sequence[Probe]]) -> dict[str, dict[str, int]]:
    """By device and backend: the median over probes of what a call costs that computes nothing."""
    floors: dict[str, dict[str, list[int]]] = {}
    for measurement in plan:
        for probe in probes.get(measurement.key, ())[:1]:
            if probe.call_floor_ns is not None:
                floors.setdefault(measurement.device, {}).setdefault(measurement.backend.key, []).append(probe.call_floor_ns)
    return {device: {key: round(median(values)) for key, values in by.items()} for device, by in floors.items()}


def _device_facts(device: Device, hello: Hello | None, floors: Mapping[str, int]) -> TableDevice:
    if hello is None:
        return TableDevice(device.name, device.profile)
    return TableDevice(
        device=device.name,
        profile=device.profile,
        cpu_model=hello.cpu_model,
        machine=hello.machine,
        system=hello.system,
        cpus=len(hello.cpus),
        memory_bytes=hello.memory_bytes,
        python=hello.python,
        governor=hello.governor,
        clock_resolution_ns=hello.clock_resolution_ns or 0,  # 0 there: unknown
        timer_pair_ns=hello.timer_pair_ns or 0,
        call_floor_ns=floors,
        runner_sha256=hello.runner_sha256,
    )
