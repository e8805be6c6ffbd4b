"""Two names of one piece of hardware."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lutfarm.store.interface import DeviceStore
from lutfarm_agents.device import Device


def machines_of(store: DeviceStore) -> dict[str, str]:
    """By device, the hardware that it last said it is; until it boots again."""
    return {device.name: last[0].machine_id for device in store.devices() if (last := store.hello(device.name))}


def twins_of(name: str, devices: Iterable[Device], machines: Mapping[str, str]) -> list[str]:
    """The other devices that are the same hardware."""
    mine = machines.get(name)
    return [each.name for each in devices if mine and each.name != name and machines.get(each.name) == mine]
