"""The cores that measure."""

from __future__ import annotations

from collections.abc import Sequence

from lutfarm_agents.device import Hello
from lutfarm_jobs.round import Task
from lutfarm_profiles.cores import cores_for
from lutfarm_profiles.profile import DeviceProfile


def measured_cpus(profile: DeviceProfile, hello: Hello, tasks: Sequence[Task], name: str) -> Sequence[int]:
    """The last cores of the profile's measured cluster, as many as the threads.  Raises NotReady, SpecError."""
    threads = max(task.measurement.backend.threads for task in tasks)
    cluster = tasks[0].measurement.conditions.cluster
    return cores_for(profile, hello.cpus, threads=threads, device=name, cluster=cluster or None)
