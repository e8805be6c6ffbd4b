"""RayPool with hosts that are elsewhere, beside a Ray that does as it is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
import ray.exceptions
from tests import pool_kit as kit

from lutfarm.agent_pool.interface import Done
from lutfarm.agent_pool.ray import pool as ray_pool
from lutfarm.agent_pool.ray.pool import RayPool
from lutfarm_agents.device import HERE
from lutfarm_agents.testing import ScriptedAgents

PID = 4321


class Actor:
    """That of a host: its process has ended by the time it is asked anything, and had a number."""

    def __init__(self, *_: object) -> None:
        self.pid = self

    @classmethod
    def remote(cls, *_: object) -> Any:
        return cls() if _ else PID

    def __getattr__(self, name: str) -> Any:
        raise ray.exceptions.ActorDiedError


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the processes of this machine that were killed."""
    found: list[int] = []

    def get(reference: int, timeout: float) -> int:
        del timeout
        return reference

    def anything(_: object) -> Any:
        return Actor

    monkeypatch.setattr(ray_pool, "kill_descendant", found.append)
    monkeypatch.setattr(ray_pool, "_is_there", anything)
    monkeypatch.setattr(ray_pool, "_actor_class", anything)
    monkeypatch.setattr(ray, "kill", anything)
    monkeypatch.setattr(ray, "get", get)
    return found


def nothing() -> None:
    """No core is measured."""


@pytest.fixture
def pool(tmp_path: Path, killed: list[int]) -> Iterator[RayPool]:
    del killed
    agents = ScriptedAgents()
    with ExitStack() as opened:
        yield RayPool(opened=opened, keep_away=nothing, state_dir=tmp_path, measured_cpus=frozenset(), agent_factory=agents)


@pytest.mark.parametrize(("host", "numbers"), [(HERE, [PID]), ("bench", [])])
def test_only_a_process_of_this_machine_is_killed_by_its_number(
    pool: RayPool, killed: list[int], host: str, numbers: list[int]
) -> None:
    """The number of one that is elsewhere may be that of anything here."""
    order = kit.opening("desk")
    pool.submit(replace(order, device=replace(order.device, host=host)))
    (done,) = pool.events(0)
    assert isinstance(done, Done)
    assert done.error is not None
    assert done.error[0] == "LinkLost"
    assert killed == numbers
