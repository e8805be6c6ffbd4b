"""Devices that another package's agent measures."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest
from tests import pool_kit as kit

from lutfarm.agent_pool.interface import Event, Opened, Probed
from lutfarm.agent_pool.local import LocalPool
from lutfarm_agents import factory
from lutfarm_agents.device import Device
from lutfarm_agents.factory import AgentKind
from lutfarm_agents.fingerprint import fingerprint
from lutfarm_agents.testing.fakes import FakeAgent, Script
from lutfarm_jobs.errors import PluginRefused
from lutfarm_jobs.registry import Registry

PACKAGE = "a package without a name (entry point lutfarm.agents: theirs = tests.integration.test_foreign_agent:THEIRS)"


class Agent(FakeAgent):
    """On the device `stuck` it can't be closed."""

    def close(self) -> None:
        super().close()
        if self.device.name == "stuck":
            raise RuntimeError("its port does not close")


def make(device: Device, *, state_dir: Path, cpus: frozenset[int] | None) -> FakeAgent:
    del state_dir, cpus
    agents.append(Agent(device, Script(bug_at="probe" if device.name == "buggy" else None)))
    return agents[-1]


agents: list[Agent] = []


THEIRS = AgentKind(lambda device: True, make)


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalPool]:
    entry = metadata.EntryPoint("theirs", "tests.integration.test_foreign_agent:THEIRS", "lutfarm.agents")

    def installed(**_: str) -> list[metadata.EntryPoint]:
        return [entry]

    agents.clear()
    monkeypatch.setattr(metadata, "entry_points", installed)
    own = {"runner": "lutfarm_agents.runner_agent:KIND"}
    monkeypatch.setattr(factory, "AGENTS", Registry("lutfarm.agents", "agent", AgentKind, own))
    found = LocalPool(state_dir=tmp_path)
    yield found
    found.close()


def heard(pool: LocalPool, *orders: kit.Opening | kit.Probing | kit.Measuring) -> list[Event]:
    listener = kit.Listener(pool)
    for order in orders:
        pool.submit(order)
        listener.done(order.id)
    return listener.seen


def test_what_it_measures_is_of_its_packages_version(pool: LocalPool) -> None:
    task = kit.task("steady", "fast")
    events = heard(pool, kit.opening("steady"), kit.probing("steady", task), kit.measuring("steady", task))
    (hello,) = (event.hello for event in events if isinstance(event, Opened))
    found = [event.probe for event in events if isinstance(event, Probed)]
    runs = [event.run for event in events if isinstance(event, kit.Measured)]
    assert found
    assert runs
    assert {each.fingerprint["agent_package"] for each in (*found, *runs)} == {hello.agent_package} == {PACKAGE}
    assert fingerprint(hello, kit.SIMULATED, None)["agent_package"] == PACKAGE  # what stored ones are held against


def test_what_it_raises_is_said_to_be_the_packages_and_its_device_can_be_asked_again(pool: LocalPool) -> None:
    events = heard(pool, kit.opening("buggy"), kit.probing("buggy", kit.task("buggy", "fast")), kit.opening("buggy"))
    errors = [event.error for event in events if isinstance(event, kit.Done)]
    assert errors[0] is errors[2] is None
    assert errors[1] is not None
    code, detail = errors[1]
    assert code == "PluginRefused"
    assert f"the agent 'theirs', which {PACKAGE} adds, failed" in detail


def test_one_that_can_not_be_closed_is_said_to_be_the_packages_and_the_others_are_closed(
    pool: LocalPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    heard(pool, kit.opening("stuck"), kit.opening("steady"))
    pool.close()
    assert [each.closed for each in agents] == [True, True]
    (error,) = raised
    assert isinstance(error.exc_value, PluginRefused)
    assert f"the agent 'theirs', which {PACKAGE} adds, failed: RuntimeError: its port does not close" in str(error.exc_value)


def test_a_device_that_moved_gets_another_agent_though_the_old_one_can_not_be_closed(pool: LocalPool) -> None:
    here, there = kit.opening("stuck"), kit.opening("stuck")
    there = replace(there, device=replace(there.device, profile="another-machine"))
    events = heard(pool, here, there, replace(there, id="again"))
    errors = [event.error for event in events if isinstance(event, kit.Done)]
    assert [error and error[0] for error in errors] == [None, "PluginRefused", None]
    assert len(agents) == 2
    agents[-1].device = kit.device("free")  # it closes well
