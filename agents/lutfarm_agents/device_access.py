"""One device and everything by which it is reached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lutfarm_agents.conditions.surroundings import Surroundings
from lutfarm_agents.device import Device
from lutfarm_agents.provisioning.model_cache import ModelCache
from lutfarm_agents.transports.interface import Transport
from lutfarm_agents.transports.registry import open_transport, root_of
from lutfarm_profiles import DeviceProfile, loader


@dataclass(frozen=True, slots=True)
class DeviceAccess:
    """What a session and those who measure over it share.  `root`: lutfarm's folder on the device."""

    device: Device
    profile: DeviceProfile
    transport: Transport
    root: str
    model_cache: ModelCache
    surroundings: Surroundings

    @classmethod
    def to(
        cls, device: Device, state_dir: Path, *, cpus: frozenset[int] | None = None, transport: Transport | None = None
    ) -> DeviceAccess:
        """Nothing is connected yet.

        `cpus`: the host's cores that a local device's processes may use; None for those of this process.
        `transport`: another way to reach the device than the one it is registered with.
        """
        profile, root = loader.load(device.profile), root_of(device, state_dir)
        transport = transport or open_transport(device, state_dir, cpus=cpus)
        surroundings = Surroundings(transport, root, profile, device.name)
        return cls(device, profile, transport, root, ModelCache(transport, f"{root}/models"), surroundings)
