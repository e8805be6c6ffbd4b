"""Which agent a device gets."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from lutfarm_agents import factory
from lutfarm_agents.address import AdbAddress, LocalAddress
from lutfarm_agents.device import Device
from lutfarm_agents.factory import AgentKind, agent_of
from lutfarm_agents.runner_agent import DeviceAgent
from lutfarm_agents.testing.fakes import FakeAgent, Script
from lutfarm_agents.tool_agent import ToolAgent
from lutfarm_jobs.errors import PluginRefused
from lutfarm_jobs.registry import Registry

PROFILE = "generic-linux-x86_64"
HERE = Device("desk", PROFILE, "local", LocalAddress())
PHONE = Device("px", PROFILE, "adb", AdbAddress("px", root="/data/local/tmp/lutfarm"))


def fake(device: Device, *, state_dir: Path, cpus: frozenset[int] | None) -> FakeAgent:
    del state_dir, cpus
    return FakeAgent(device, Script())


def broken(device: Device, *, state_dir: Path, cpus: frozenset[int] | None) -> FakeAgent:
    raise RuntimeError(f"no agent for {device.name} today")


FOR_PHONES = AgentKind(lambda device: device.transport == "adb", fake)
BROKEN = AgentKind(lambda device: device.transport == "adb", broken)


@pytest.fixture
def more(monkeypatch: pytest.MonkeyPatch):
    def add(*kinds: str) -> None:
        entries = [metadata.EntryPoint(f"more{at}", f"{__name__}:{kind}", "lutfarm.agents") for at, kind in enumerate(kinds)]
        monkeypatch.setattr(metadata, "entry_points", lambda *, group: [one for one in entries if one.group == group])
        own = {"tools": "lutfarm_agents.tool_agent:KIND", "runner": "lutfarm_agents.runner_agent:KIND"}
        monkeypatch.setattr(factory, "AGENTS", Registry("lutfarm.agents", "agent", AgentKind, own))

    return add


def test_ours_are_chosen_by_whether_something_of_ours_can_run_there(more) -> None:
    more()
    assert isinstance(agent_of(HERE, state_dir=Path("/nowhere")), DeviceAgent)
    assert isinstance(agent_of(PHONE, state_dir=Path("/nowhere")), ToolAgent)


def test_another_packages_agent_is_made_for_the_devices_that_it_is_for(more) -> None:
    more("FOR_PHONES")
    assert isinstance(agent_of(PHONE, state_dir=Path("/nowhere")), FakeAgent)
    assert isinstance(agent_of(HERE, state_dir=Path("/nowhere")), DeviceAgent)


def test_two_agents_that_are_for_one_device_are_both_named(more) -> None:
    more("FOR_PHONES", "FOR_PHONES")
    with pytest.raises(PluginRefused, match=r"px: .*more0 = .* and .*more1 = .* are both for it"):
        agent_of(PHONE, state_dir=Path("/nowhere"))


def test_what_another_packages_agent_raises_is_said_to_be_its(more) -> None:
    more("BROKEN")
    with pytest.raises(PluginRefused, match=r"the agent 'more0', which .* adds, failed: RuntimeError: no agent for px today"):
        agent_of(PHONE, state_dir=Path("/nowhere"))
