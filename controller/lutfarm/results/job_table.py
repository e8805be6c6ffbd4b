"""From the stored runs of a job to its table."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

from lutfarm.canary.judge_runs import judge
from lutfarm.devices.registry import with_profiles
from lutfarm.lut import LatencyTable, Manifest, Pooling, TableBackend, TableDevice, pooled, without_moved
from lutfarm.lut.building.build_table import build_table
from lutfarm.lut.building.manifest_as_measured import as_measured
from lutfarm.lut.building.profiled import in_network
from lutfarm.lut.building.sandwiched import sandwiched
from lutfarm.lut.building.solved import solved
from lutfarm.records.job import Job
from lutfarm.records.registered_device import RegisteredDevice
from lutfarm.scheduling.policy import MeasuringPolicy, policies_of
from lutfarm.statistics import Target
from lutfarm.store.interface import DeviceStore, RunsAndCanaries, Store, job_called
from lutfarm.submission.device_pools import share_choices
from lutfarm_agents.device import Device, Hello
from lutfarm_agents.fingerprint import runtime_version
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.expand import read_definition, space_of
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.measurement_key import named
from lutfarm_jobs.run import Probe, Run
from lutfarm_jobs.runtimes import told_from_networks
from lutfarm_jobs.spec import JobSpec, SpaceWorkload, stored_job


def table_of(store: Store, job_id: str, *, pool: str | None = None) -> LatencyTable:
    """The table of a job, by its id, name or the start of its id; with entries of the pool of a profile too, if wanted.

    Without what studies of whole networks say of it: see studies.validated_table.

    Raises SpecError where there is no such job or profile, UnitsDiffer where the pool's units can't be put together.
    """
    job, _ = job_called(store, job_id)
    spec = stored_job(job.spec_json)
    plan = store.measurements(job.id)
    devices = _devices(store, plan)
    policies = policies_of(spec, devices)
    shared = {choice.profile: choice for choice in share_choices(spec).values()}
    target = target_of(spec)
    probes = store.probes([m.key for m in plan])
    floors = _call_floors(plan, probes)
    call_ns = {(unit, key): float(ns) for unit, by in floors.items() for key, ns in by.items()}
    table = build_table(
        plan,
        _judged(store, job.id, plan, policies),
        probes=probes,
        zeros=job.zeros,
        target=target,
        manifest=_manifest(store, job, spec, plan, devices, floors, policies),
    )
    table = table.with_manifest(as_measured(table))
    if spec.composition == "sandwiched":
        table = sandwiched(table, target.relative_half_width, call_ns=call_ns)
    if spec.composition == "in_network":
        table = _inside(store, job, spec, plan, call_ns, table, target)
    table = without_moved(table, {name for name, each in devices.items() if each.device.profile in shared})
    if pool is None:
        return table
    profiles = sorted({each.device.profile for each in devices.values()})
    if pool not in profiles:
        raise SpecError(f"job {job.name} measured on no device of the profile {pool[:80]!r}; it has {', '.join(profiles)}")
    choice = shared.get(pool)
    pooling = Pooling(pool, "share", choice.allowed_spread) if choice else Pooling(pool)
    return pooled(table, pooling, target)


def target_of(spec: JobSpec) -> Target:
    """How precise a job's entries are to be, and from how many processes: as its rounds stop by."""
    sampling = spec.sampling
    return Target(sampling.target_relative_interval, sampling.confidence, sampling.least_rounds, sampling.rounds)


def _inside(
    store: Store,
    job: Job,
    spec: JobSpec,
    plan: Sequence[Measurement],
    call_ns: Mapping[tuple[str, str], float],
    table: LatencyTable,
    target: Target,
) -> LatencyTable:
    """With operators from networks: those that ran under a profiler, or, without one, solved from all of them."""
    here = Path.cwd()  # for jobs of before they carried what their spaces' files say
    spaces = [
        space_of(w.space, w.definition or read_definition(w.space, here), here)
        for w in spec.workloads
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
        judged(store, job.id),
        plan,
        layers,
        call_ns=call_ns,
        first=first,
        relative_target=target.relative_half_width,
        confidence=target.confidence,
    )
    return solved(timed, spaces, told_from_networks("solved"), target.relative_half_width, confidence=target.confidence)


def judged(store: Store, job_id: str) -> Iterator[Run]:
    """The runs of a job by its id, by key and time, each slice judged by what is known of the canary today."""
    stored = store.job(job_id)
    if stored is not None:
        plan = store.measurements(stored[0].id)
        spec = stored_job(stored[0].spec_json)
        yield from _judged(store, stored[0].id, plan, policies_of(spec, _devices(store, plan)))


def _devices(store: DeviceStore, plan: Sequence[Measurement]) -> dict[str, RegisteredDevice]:
    return with_profiles(device for name in dict.fromkeys(m.unit for m in plan) if (device := store.device(name)))


def _judged(
    store: RunsAndCanaries, job_id: str, plan: Sequence[Measurement], policies: Mapping[str, MeasuringPolicy]
) -> Iterator[Run]:
    """The job's runs, each slice judged by what is known today of the canary of then."""
    verdict = judge(store, plan, {unit: policy.plan.gate_ratio for unit, policy in policies.items()})
    planned = {m.key for m in plan}
    return (verdict(run) for run in store.runs(job_id) if run.key in planned)


def _manifest(
    store: DeviceStore,
    job: Job,
    spec: JobSpec,
    plan: Sequence[Measurement],
    devices: Mapping[str, RegisteredDevice],
    floors: Mapping[str, Mapping[str, int]],
    policies: Mapping[str, MeasuringPolicy],
) -> Manifest:
    hellos = {name: hello[0] for name in devices if (hello := store.hello(name))}
    protocol = {name: asdict(policy.plan) for name, policy in policies.items()}
    names = {workload.space for workload in spec.workloads if isinstance(workload, SpaceWorkload)}
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
                {unit: runtime_version(hello, backend.runtime) for unit, hello in hellos.items()},
            )
            for backend in dict.fromkeys(m.backend for m in plan)
        ),
        files={m.workload.key: m.workload.path for m in plan if m.workload.path},
        protocol=protocol,
        protocol_hash=hashlib.sha256(json.dumps(protocol, sort_keys=True).encode()).hexdigest()[:16],
    )


def _call_floors(plan: Sequence[Measurement], probes: Mapping[str, Sequence[Probe]]) -> dict[str, dict[str, int]]:
    """By unit and backend: the median over probes of what a call costs that computes nothing."""
    floors: dict[str, dict[str, list[int]]] = {}
    for measurement in plan:
        for probe in probes.get(measurement.key, ())[:1]:
            if probe.call_floor_ns is not None:
                floors.setdefault(measurement.unit, {}).setdefault(measurement.backend.key, []).append(probe.call_floor_ns)
    return {unit: {key: round(median(values)) for key, values in by.items()} for unit, by in floors.items()}


def _device_facts(device: Device, hello: Hello | None, floors: Mapping[str, int]) -> TableDevice:
    if hello is None:
        return TableDevice(device.name, device.profile)
    return TableDevice(
        unit=device.name,
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
