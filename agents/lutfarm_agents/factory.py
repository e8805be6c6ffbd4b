"""Which agent a device gets."""

from __future__ import annotations

from pathlib import Path

from lutfarm_agents.device import Device
from lutfarm_agents.interface import Agent
from lutfarm_agents.runner_agent import DeviceAgent
from lutfarm_agents.tool_agent import ToolAgent


def agent_of(device: Device, *, state_dir: Path, cpus: frozenset[int] | None = None) -> Agent:
    """One that speaks with our runner, or one for native tools alone.  `cpus`: see DeviceAgent."""
    if device.tools_only:
        return ToolAgent(device, state_dir=state_dir)
    return DeviceAgent(device, state_dir=state_dir, cpus=cpus)
