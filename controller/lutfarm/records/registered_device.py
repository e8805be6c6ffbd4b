"""A registered device with the profile of its kind."""

from __future__ import annotations

from dataclasses import dataclass

from lutfarm_agents.device import Device
from lutfarm_profiles.profile import DeviceProfile


@dataclass(frozen=True, slots=True)
class RegisteredDevice:
    """What is true of one device beside what it says of itself; its profile as it was when the device was looked up."""

    device: Device
    profile: DeviceProfile

    @property
    def name(self) -> str:
        """The device's name."""
        return self.device.name
