"""Which agent a device gets: ours by whether Python is there, or another package's that says the device is for it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lutfarm_agents.device import Device
from lutfarm_agents.interface import Agent
from lutfarm_agents.transports.registry import TRANSPORTS
from lutfarm_jobs.errors import PluginRefused
from lutfarm_jobs.registry import Registry


class Maker(Protocol):
    """An agent of a device; nothing is connected yet."""

    def __call__(self, device: Device, *, state_dir: Path, cpus: frozenset[int] | None) -> Agent:
        """`cpus`: see DeviceAgent."""
        ...


@dataclass(frozen=True, slots=True)
class AgentKind:
    """`fits`: whether a device is for such an agent; asked of other packages' first."""

    fits: Callable[[Device], bool]
    make: Maker


AGENTS = Registry(
    "lutfarm.agents",
    "agent",
    AgentKind,
    {"tools": "lutfarm_agents.tool_agent:KIND", "runner": "lutfarm_agents.runner_agent:KIND"},
)
"""By what they speak with: our runner, or native tools alone."""


def agent_of(device: Device, *, state_dir: Path, cpus: frozenset[int] | None = None) -> Agent:
    """The agent that the device is for.  Raises PluginRefused where two of other packages want it, or one is broken."""
    name = _chosen(device)
    with AGENTS.calling(name):
        return AGENTS[name].make(device, state_dir=state_dir, cpus=cpus)


@contextmanager
def calling(device: Device) -> Generator[None]:
    """Around what a device's agent does.

    What another package's agent or transport raises, and is no FarmError, becomes PluginRefused that names the package.
    """
    with AGENTS.calling(_chosen(device)), TRANSPORTS.calling(device.transport):
        yield


def package_of(device: Device) -> str:
    """Who adds the device's agent, where that is another package: it may measure otherwise in its next version.  Else nothing."""
    name = _chosen(device)
    return "" if name in AGENTS.own() else AGENTS.source(name)


def _chosen(device: Device) -> str:
    wanting: list[str] = []
    for name in (name for name in AGENTS.names() if name not in AGENTS.own()):
        with AGENTS.calling(name):
            if AGENTS[name].fits(device):
                wanting.append(name)
    if len(wanting) > 1:
        who = " and ".join(AGENTS.source(name) for name in wanting)
        raise PluginRefused(f"{device.name}: {who} add agents that are both for it: uninstall all but one of them")
    return next(iter([*wanting, *(name for name in AGENTS.own() if AGENTS[name].fits(device))]))
