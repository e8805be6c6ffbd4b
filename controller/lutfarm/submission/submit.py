"""From a job file to a checked submission: devices by name, label or pool, and what each measures."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from lutfarm.devices.registry import with_profiles
from lutfarm.devices.same_hardware import machines_of
from lutfarm.scheduling.policy import policies_of
from lutfarm.scheduling.stop_rule import finished_rounds
from lutfarm.scheduling.work_sharing import Share, expected_ns
from lutfarm.store.interface import DeviceStore, Store
from lutfarm.submission import device_pools
from lutfarm.submission.checks import check_conditions, check_runtimes, check_threads
from lutfarm.submission.share_work import share_plan
from lutfarm.submission.submission import Submission
from lutfarm_agents.device import Device
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.expand import expand, nothings, resolve, with_definitions
from lutfarm_jobs.job_file.devices import DeviceChoice, PoolChoice
from lutfarm_jobs.sources import Sources
from lutfarm_jobs.spec import JobSpec, load_job


def _chosen(spec: JobSpec, registered: Mapping[str, Device], store: DeviceStore) -> dict[int, tuple[str, ...]]:
    """By position in the job's `devices`, the names that it stands for.  Raises SpecError."""
    now_s = time.time()
    chosen: dict[int, tuple[str, ...]] = {}
    for position, wanted in enumerate(spec.devices):
        if isinstance(wanted, PoolChoice):
            records = {
                name: store.device_record(name, now_s) for name, device in registered.items() if device.profile == wanted.profile
            }
            chosen[position] = tuple(
                device_pools.devices_of(wanted, registered, records, machines_of(store), where=f"devices[{position}]")
            )
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
    device_pools.refuse_overlap(chosen, device_pools.share_choices(spec))
    return chosen


def _known(registered: Mapping[str, Device]) -> str:
    return f"registered: {', '.join(registered)}" if registered else "none is registered yet"


def submission(path: Path, store: Store, *, retry_failed: bool = False) -> tuple[Submission, Sources]:
    """A job file with everything that its names stand for.  Raises SpecError."""
    return submit_read(load_job(path), path, store, retry_failed=retry_failed)


def submit_read(spec: JobSpec, path: Path, store: Store, *, retry_failed: bool = False) -> tuple[Submission, Sources]:
    """A job that was read from a file, with everything that its names stand for.  Raises SpecError that names the file."""
    try:
        return submit(spec, path.absolute().parent, store, retry_failed=retry_failed)
    except SpecError as error:
        raise type(error)(f"{path}: {error}") from error


def submit(spec: JobSpec, folder: Path, store: Store, *, retry_failed: bool = False) -> tuple[Submission, Sources]:
    """A job whose relative paths start at `folder`, with everything that its names stand for."""
    registered = {device.name: device for device in store.devices()}
    chosen = _chosen(spec, registered, store)
    devices = with_profiles(registered[name] for name in dict.fromkeys(name for names in chosen.values() for name in names))
    check_conditions(spec, devices)
    check_threads(spec, devices, store)
    check_runtimes(spec, devices, store)
    sources = resolve(spec, folder)
    spec = with_definitions(spec, sources)
    policies = policies_of(spec, devices)
    plan = expand(spec, sources, tuple(devices))
    shares: list[Share] = []
    for position, choice in device_pools.share_choices(spec).items():
        members = chosen[position]
        plan, share = share_plan(
            plan,
            choice,
            members,
            sources=sources,
            store=store,
            job_id=spec.id,
            finished_rounds=finished_rounds(spec),
            policy=policies[members[0]],
        )
        shares.append(share)
    zeros = nothings(spec, sources)
    guessed = {workload: expected_ns(workload, sources) for workload in {m.workload for m in plan}}
    return Submission(
        spec, plan, devices, policies, zeros, retry_failed, tuple(shares), expected_ns={m.key: guessed[m.workload] for m in plan}
    ), sources
