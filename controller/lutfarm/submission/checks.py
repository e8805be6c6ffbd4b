"""Whether devices can give what a job asks for."""

from __future__ import annotations

import time
from collections.abc import Mapping

from lutfarm.devices.runtime_support import runtime_lacking
from lutfarm.records.device_state import NO_WORK
from lutfarm.records.registered_device import RegisteredDevice
from lutfarm.store.interface import DeviceStore
from lutfarm_agents.provisioning.runner_zipapp import backend_source
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.spec import JobSpec
from lutfarm_profiles.cores import cores_for


def check_conditions(spec: JobSpec, devices: Mapping[str, RegisteredDevice]) -> None:
    """Raises SpecError where a device's profile can't give what the job asks for."""
    conditions = spec.conditions
    for device in devices.values():
        profile = device.profile
        profile.measured_cpus((), cluster=conditions.cluster)
        if conditions.clocks == "fixed" and profile.frequency is None:
            raise SpecError(
                f"conditions.clocks: {device.name}'s profile {profile.name} does not say how its clocks are fixed; "
                "add `frequency` to a profile of your own, or ask for free ones"
            )


def check_threads(spec: JobSpec, devices: Mapping[str, RegisteredDevice], store: DeviceStore) -> None:
    """Raises SpecError where a device, as it last described itself, has fewer cores than a backend has threads.

    NotReady where it has none of those that its profile says.
    """
    threads = max(backend.threads for backend in spec.backends)
    for device in devices.values():
        hello = store.hello(device.name)
        if hello is not None:
            cores_for(device.profile, hello[0].cpus, threads=threads, device=device.name, cluster=spec.conditions.cluster)


def check_runtimes(spec: JobSpec, devices: Mapping[str, RegisteredDevice], store: DeviceStore) -> None:
    """Raises SpecError where a device has not what a backend needs: Python, a runtime there, a tool that somebody named.

    Which runtimes its Python has is what it said last.  One that is out of work is not asked for any.  Raises PluginRefused for
    a runtime of another package whose backend can't be given to a device.
    """
    for runtime in sorted({backend.runtime for backend in spec.backends}):
        backend_source(runtime)
    now_s = time.time()
    for device in devices.values():
        hello = None if store.device_record(device.name, now_s).state in NO_WORK else store.hello(device.name)
        for runtime in sorted({backend.runtime for backend in spec.backends}):
            if lacking := runtime_lacking(device.device, hello[0] if hello else None, runtime):
                raise SpecError(f"backends: {lacking}")
