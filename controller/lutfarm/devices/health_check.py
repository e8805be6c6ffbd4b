"""Checks devices, outside of any job: lease, lock, look, and what follows for the device's state."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from lutfarm.devices.leases import kept_beside, lease
from lutfarm.devices.registry import registered
from lutfarm.home import Home
from lutfarm.records.device_state import DeviceEvent, DeviceRecord, require
from lutfarm.store.interface import DevicesAndLeases, DeviceStore
from lutfarm_agents import process_identity
from lutfarm_agents.device import HERE, Claim, Device
from lutfarm_agents.factory import agent_of
from lutfarm_agents.health.check import PASSES, SESSION, CheckOrder, HealthReport, check
from lutfarm_agents.health.findings import HealthLimits
from lutfarm_jobs import models
from lutfarm_jobs.errors import DeviceLost, FarmError, LeaseLost, LinkError, SpecError, StoreError, is_a
from lutfarm_jobs.measurement import Backend, Measurement, Workload
from lutfarm_jobs.models.build_model import canary_graph
from lutfarm_jobs.models.reference_output import expected_of_graph
from lutfarm_jobs.round import Lease, Slicing, Task
from lutfarm_jobs.runtimes import model_format
from lutfarm_profiles import DeviceProfile, loader

COOL_DOWN_S = 300.0  # how long a device that was found too hot is left alone

Waiting = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Checked:
    """A device that was looked at, and its state after it."""

    report: HealthReport
    record: DeviceRecord


@dataclass(frozen=True, slots=True)
class NotChecked:
    """A device that could not be looked at."""

    device: str
    error: FarmError


def check_devices(
    names: Sequence[str],
    store: DevicesAndLeases,
    home: Home,
    *,
    waiting: Waiting,
    tell: Callable[[Checked | NotChecked], None],
    host: str | None = None,
) -> list[Checked | NotChecked]:
    """Look at each in turn, whatever became of the others; `tell` hears of each as soon as it is known.

    `host`: what a served farm calls this machine; None for a farm of its own.  Raises StoreError, and SpecError for a name
    that is not registered, or a device of another host: what would be looked at here is not it.
    """
    found: list[Checked | NotChecked] = []
    holder = process_identity.words("device check")
    devices = registered(store, names)
    for device in devices:
        if host is not None and device.host != host:
            raise SpecError(
                f"{device.name} hangs on {_called(device.host)}, and this is {_called(host)}: type it there, or say --host "
                f"{device.host} where that is what this machine is called"
            )
    for device in devices:
        try:
            report, record = check_device(device, store, home, owner=str(process_identity.me()), holder=holder, waiting=waiting)
            found.append(Checked(report, record))
        except FarmError as error:
            if isinstance(error, StoreError) and not isinstance(error, LeaseLost):
                raise
            found.append(NotChecked(device.name, error))  # of this device alone
        tell(found[-1])
    return found


def _called(host: str) -> str:
    return "the server's own machine (local)" if host == HERE else f"the host {host!r}"


def in_use(store: DeviceStore, now_s: float, host: str | None = None) -> list[str]:
    """The names of the devices that are not retired; where a host is named, of those that hang on it."""
    names = [device.name for device in store.devices() if host is None or device.host == host]
    return [name for name in names if store.device_record(name, now_s).state != "retired"]


def check_device(
    device: Device, store: DevicesAndLeases, home: Home, *, owner: str, holder: str, waiting: Waiting
) -> tuple[HealthReport, DeviceRecord]:
    """Wait for the device, look at it, keep what was found; the report and the device's state after it.

    `waiting(device, who)` is told who else has it.  Raises SpecError for a retired device, LeaseLost where another took it.
    """
    require(store.device_record(device.name, time.time()), "check passed")
    with lease(store, device.name, owner=owner, holder=holder, waiting=waiting) as kept:
        order = _order(device, store, home, kept(), holder)
        with kept_beside(kept) as still_ours, closing(agent_of(device, state_dir=home.agents)) as agent:

            def still_waiting(who: str) -> None:
                still_ours()  # another farm's job on the device may last longer than a lease
                waiting(device.name, who)

            report = check(agent, order, waiting=still_waiting)
            hello = agent.hello() if agent.ready else None
        if hello is not None:  # what is installed there may be other than when a job last heard it
            store.put_hello(device.name, hello, time.time())
        store.put_check(report)
        now_s = time.time()
        if report.boot_id:
            store.step_device(device.name, DeviceEvent("seen", boot_id=report.boot_id), now_s)
        return report, store.step_device(device.name, event_of(report, now_s), now_s)


def event_of(report: HealthReport, now_s: float) -> DeviceEvent:
    """What a report means for the device's state."""
    if report.fit:
        return DeviceEvent("check passed")
    failed = report.failed
    if all(finding.name == "temperature" for finding in failed):
        return DeviceEvent("too hot", report.reason, until_s=now_s + COOL_DOWN_S)
    broken = next((finding for finding in failed if finding.name == SESSION), None)
    code = "" if broken is None else str(broken.value)
    if broken is not None and is_a(code, LinkError, DeviceLost):
        return DeviceEvent("link lost", f"{code}: {broken.why}", code=code)
    return DeviceEvent("check failed", report.reason, code=code)


def _order(device: Device, store: DevicesAndLeases, home: Home, lease: Lease, holder: str) -> CheckOrder:
    profile = loader.load(device.profile)
    runtimes = list(device.address.tools) if device.tools_only else profile.runtimes
    built = {
        backend: models.canary(model_format(backend.runtime), home.models)
        for backend in (Backend(runtime) for runtime in runtimes)
    }
    tasks = tuple(
        Task(
            Measurement(Workload("operator", "canary"), device.name, backend),
            one.artifact,
            input_layout=one.input_layout,
            expected=expected_of_graph(canary_graph(), model_format(backend.runtime), home.models),
        )
        for backend, one in built.items()
    )
    return CheckOrder(
        device=device.name,
        claim=Claim(device.name, lease.owner, holder, store.farm_id, lease.token),
        tasks=tasks,
        models={one.artifact.sha256: one.path for one in built.values()},
        slicing=profile.slicing(Slicing(passes=PASSES)),
        workload_limits=profile.workload_limits(),
        limits=limits_of(profile),
        history=_history(store, device.name),
        tools_only=device.tools_only,
        profile=profile,
    )


def limits_of(profile: DeviceProfile) -> HealthLimits:
    """What a kind of device has to keep to; the general limits where its profile says nothing."""
    limits = HealthLimits(memory_warn_bytes=min(HealthLimits().memory_warn_bytes, profile.memory_budget_bytes))
    if profile.thermal is not None:  # a device between resume_c and limit_c works, and may soon have to rest
        limits = replace(
            limits,
            temperature_warn_c=profile.thermal.resume_c,
            temperature_fail_c=profile.thermal.limit_c,
            zones=None if profile.thermal.zones == "all" else profile.thermal.zones,
        )
    if profile.battery is not None:
        limits = replace(limits, battery_percent=profile.battery.minimum_percent, charging=profile.battery.charging)
    return limits


def _history(store: DeviceStore, device: str) -> Sequence[HealthReport]:
    """Earlier checks since the device was last registered: registering again says that it was changed on purpose."""
    registered_s = max((t.at_s for t in store.device_history(device) if t.event == "registered"), default=0.0)
    return [report for report in store.checks(device) if report.checked_s >= registered_s]
