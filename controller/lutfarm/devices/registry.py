"""Looks up registered devices, each with the profile of its kind: read here, once, and handed on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lutfarm.records.registered_device import RegisteredDevice
from lutfarm.store.interface import DeviceStore
from lutfarm_agents.device import Device
from lutfarm_jobs.errors import NotFound
from lutfarm_profiles import loader


def registered(store: DeviceStore, names: Sequence[str]) -> list[Device]:
    """The devices of these names.  Raises NotFound naming one that is not registered."""
    known = {device.name: device for device in store.devices()}
    for name in names:
        if name not in known:
            raise NotFound(f"no device is registered as {name[:80]!r}; see lutfarm device list")
    return [known[name] for name in names]


def with_profiles(devices: Iterable[Device]) -> dict[str, RegisteredDevice]:
    """By name.  Raises SpecError where a profile is not there any more, or is none."""
    found = list(devices)
    profiles = {name: loader.load(name) for name in dict.fromkeys(device.profile for device in found)}
    return {device.name: RegisteredDevice(device, profiles[device.profile]) for device in found}
