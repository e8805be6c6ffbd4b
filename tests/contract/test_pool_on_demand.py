"""A pool that opens devices in this process, and starts another one at the first order to measure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from tests import pool_kit as kit

from lutfarm.agent_pool.interface import Opened, Opening
from lutfarm.agent_pool.local import LocalPool
from lutfarm.agent_pool.on_demand import OnDemandPool
from lutfarm_agents.testing import Script, ScriptedAgents
from lutfarm_jobs.errors import NotReady


@dataclass
class Others:
    """Makes the pool that measures, and remembers what it made."""

    folder: Path
    agents: ScriptedAgents
    made: list[LocalPool] = field(default_factory=list)
    recalled: list[Opening] = field(default_factory=list)

    def start(self) -> LocalPool:
        others = self

        class Recorded(LocalPool):
            def recall(self, opening: Opening) -> None:
                others.recalled.append(opening)
                super().recall(opening)

        self.made.append(Recorded(state_dir=self.folder, agent_factory=self.agents))
        return self.made[-1]


@pytest.fixture(autouse=True)
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The machine's lock, which is the test's own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    kit.write_profile(tmp_path / "config", tmp_path / "device.lock")
    return tmp_path / "device.lock"


@pytest.fixture
def others(tmp_path: Path) -> Others:
    return Others(
        tmp_path / "there",
        ScriptedAgents(
            {name: Script() for name in ("one", "two", "far")} | {"held": Script(hold_at="prepare", release=tmp_path / "held")}
        ),
    )


@pytest.fixture
def pool(others: Others, tmp_path: Path) -> Iterator[OnDemandPool]:
    found = OnDemandPool(LocalPool(state_dir=tmp_path / "here", agent_factory=others.agents), others.start)
    yield found
    found.close()


@pytest.fixture
def listener(pool: OnDemandPool) -> kit.Listener:
    return kit.Listener(pool)


def opened(listener: kit.Listener, unit: str) -> Opening:
    order = kit.opening(unit)
    listener.pool.submit(order)
    assert listener.done(order.id).error is None
    return order


def test_what_is_only_opened_starts_nothing(pool: OnDemandPool, others: Others, listener: kit.Listener) -> None:
    for unit in ("one", "two", "one"):
        opened(listener, unit)
    pool.close()
    assert not others.made


@pytest.mark.parametrize("make", [kit.probing, kit.measuring])
def test_the_first_order_starts_it_once_and_opens_the_device_there(others: Others, listener: kit.Listener, make) -> None:
    opening = opened(listener, "one")
    for times in (1, 2):
        order = make("one", kit.task("one", "a"))
        listener.pool.submit(order)
        assert listener.done(order.id).error is None
        assert len(listener.of(order.id, Opened)) == (times == 1)  # its hello, which is compared again
    assert len(others.made) == 1
    assert others.recalled == [opening]


def test_a_device_that_is_still_being_opened_here_is_measured_there_afterwards(
    others: Others, listener: kit.Listener, tmp_path: Path
) -> None:
    slow = kit.opening("held")
    listener.pool.submit(slow)
    kit.until((tmp_path / "held.reached").exists, "it was never opened")
    opened(listener, "one")
    first = kit.measuring("one", kit.task("one", "a"))
    listener.pool.submit(first)
    assert listener.done(first.id).error is None
    (tmp_path / "held").touch()
    assert listener.done(slow.id).error is None
    assert listener.of(slow.id, Opened)
    later = kit.measuring("held", kit.task("held", "a"))
    listener.pool.submit(later)
    assert listener.done(later.id).error is None
    assert [run.status for run in listener.runs(later.id)] == ["complete"]
    assert [opening.device.name for opening in others.recalled] == ["one", "held"]


def test_once_it_is_started_it_opens_devices_too(others: Others, listener: kit.Listener) -> None:
    opened(listener, "one")
    order = kit.measuring("one", kit.task("one", "a"))
    listener.pool.submit(order)
    listener.done(order.id)
    opened(listener, "two")
    other = kit.measuring("two", kit.task("two", "a"))
    listener.pool.submit(other)
    assert listener.done(other.id).error is None
    assert not listener.of(other.id, Opened)  # it was opened there already


def test_a_device_of_another_host_is_not_opened_here(others: Others, listener: kit.Listener) -> None:
    order = kit.opening("far")
    listener.pool.submit(replace(order, device=replace(order.device, host="lab-2")))
    listener.done(order.id)
    assert len(others.made) == 1


def test_what_keeps_it_from_starting_is_raised(others: Others, tmp_path: Path) -> None:
    def refuse() -> LocalPool:
        raise NotReady("no memory")

    pool = OnDemandPool(LocalPool(state_dir=tmp_path / "here", agent_factory=others.agents), refuse)
    listener = kit.Listener(pool)
    opened(listener, "one")
    with pytest.raises(NotReady, match="no memory"):
        pool.submit(kit.measuring("one", kit.task("one", "a")))
    pool.close()


def test_the_lock_of_the_machine_is_given_back_before_the_other_pool_takes_it(lock: Path, tmp_path: Path) -> None:
    """With a real runner: two sessions of one owner would end each other."""
    pool = OnDemandPool(LocalPool(state_dir=tmp_path / "here"), lambda: LocalPool(state_dir=tmp_path / "there"))
    listener = kit.Listener(pool)
    opened(listener, "machine")
    here = json.loads(lock.read_text())["pid"]
    good, path = kit.model(tmp_path, iteration_ns=40_000)
    order = kit.measuring("machine", kit.task("machine", "a", good), models={good.sha256: path}, canary=good)
    pool.submit(order)
    assert listener.done(order.id).error is None
    assert [run.status for run in listener.runs(order.id)] == ["complete"]
    there = json.loads(lock.read_text())["pid"]
    assert there != here
    assert not kit.running(here)
    pool.close()
    assert not kit.running(there)
