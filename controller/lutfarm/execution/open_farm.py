"""Opens a farm for one job: cores, a pool, a task builder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Literal

from lutfarm.agent_pool.interface import AgentPool, RecallingPool
from lutfarm.agent_pool.local import LocalPool
from lutfarm.agent_pool.on_demand import OnDemandPool
from lutfarm.execution.run_job import Farm
from lutfarm.home import Home
from lutfarm.records.registered_device import RegisteredDevice
from lutfarm.store import Store
from lutfarm.submission.submission import Submission
from lutfarm_agents import process_identity
from lutfarm_jobs.spec import JobSpec

ExecutorKind = Literal["ray", "local"]


def measured_cpus(spec: JobSpec, devices: Mapping[str, RegisteredDevice]) -> frozenset[int]:
    """The cores of this machine that rounds will run on: the last of the measured cluster, as many as the job's threads."""
    threads = max(backend.threads for backend in spec.backends)
    found: set[int] = set()
    for device in devices.values():
        if device.device.address.here:
            cpus = device.profile.measured_cpus(sorted(os.sched_getaffinity(0)), cluster=spec.conditions.cluster)
            found |= set(cpus[-threads:])
    return frozenset(found)


def measured_half() -> tuple[int, ...]:
    """The upper half of this machine's cores: rounds run on the last ones, and nothing else of the farm does."""
    cpus = sorted(os.sched_getaffinity(0))
    return tuple(cpus[(len(cpus) + 1) // 2 :])


def keep_off(cpus: frozenset[int]) -> None:
    """Keep this process, and what it starts, off the measured cores, where there are others."""
    if others := os.sched_getaffinity(0) - cpus:
        os.sched_setaffinity(0, others)


@contextmanager
def open_farm(submitted: Submission, store: Store, home: Home, *, kind: ExecutorKind, at_once: bool = False) -> Generator[Farm]:
    """A farm for one job; its pool is closed at the end.

    Ray starts when a device has something to measure; `at_once`: here, where somebody counts the time from then on.
    """
    cpus = measured_cpus(submitted.spec, submitted.devices)
    before = os.sched_getaffinity(0)
    holder = process_identity.words(f"job {submitted.spec.name}")
    with contextlib.ExitStack() as stack:
        stack.callback(os.sched_setaffinity, 0, before)
        keep_off(cpus)
        pool = stack.enter_context(contextlib.closing(open_pool(kind, home, cpus, at_once=at_once)))
        yield Farm(store, pool, home.models, str(process_identity.me()), holder)


def open_pool(kind: ExecutorKind, home: Home, cpus: frozenset[int], *, at_once: bool = False) -> AgentPool:
    """What measures; `cpus`: the cores of this machine that rounds will run on."""

    def start() -> RecallingPool:
        from lutfarm.agent_pool.ray.pool import RayPool  # Ray takes a second to import: only where it is used

        return RayPool.start(state_dir=home.agents, measured_cpus=cpus)

    if kind == "ray" and at_once:
        return start()
    here = LocalPool(state_dir=home.agents, measured_cpus=cpus)
    return OnDemandPool(here, start) if kind == "ray" else here
