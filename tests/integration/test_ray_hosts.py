"""RayPool with hosts that are elsewhere, beside a Ray that does as it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
import ray.exceptions
from tests import pool_kit as kit

from lutfarm.agent_pool.interface import Done
from lutfarm.agent_pool.ray import carrying
from lutfarm.agent_pool.ray import pool as ray_pool
from lutfarm.agent_pool.ray.host_actor import Host
from lutfarm.agent_pool.ray.pool import RayPool
from lutfarm_agents.device import HERE
from lutfarm_agents.testing import ScriptedAgents
from lutfarm_jobs.errors import TransferFailed

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
    monkeypatch.setattr(ray_pool, "_resources", lambda: {ray_pool.HEAD, "host:bench"})
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


class Reference:
    """To what a host answers; it has no answer while `held`."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self._answer, self.held = answer, False

    def result(self) -> Any:
        return self._answer()


class FarHost:
    """A host's actor, as a driver sees it: a real Host, which answers at once, but for the methods in `held`."""

    def __init__(self, folder: Path) -> None:
        self._host = Host((folder, frozenset()), ScriptedAgents())
        self.held: set[str] = set()
        self.asked: list[tuple[str, tuple[Any, ...]]] = []
        self.pid = self._method("pid")

    def _method(self, name: str) -> Any:
        def remote(*arguments: Any) -> Reference:
            self.asked.append((name, arguments))
            if name in self.held:
                found = Reference(lambda: None)
                found.held = True
                return found
            try:
                answer = getattr(self._host, name)(*(arguments if name != "poll" else (0.05,)))
            except TransferFailed as error:
                failure = error

                def fail() -> None:
                    raise failure

                return Reference(fail)
            return Reference(lambda: answer)

        def options(**_: object) -> Any:
            return SimpleNamespace(remote=remote)

        return SimpleNamespace(options=options, remote=remote)

    def __getattr__(self, name: str) -> Any:
        return self._method(name)

    def close(self) -> None:
        self._host.close()


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch, pool: RayPool, tmp_path: Path) -> Iterator[FarHost]:
    """A host that can't see the files of this machine; comes after `pool`, whose stand-ins it replaces."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    kit.write_profile(tmp_path / "config", tmp_path / "device.lock")
    host = FarHost(tmp_path / "far")

    def actor_class(_: object) -> Any:
        return SimpleNamespace(remote=lambda *_: host)

    def get(reference: Reference, timeout: float = 0.0) -> Any:
        del timeout
        return reference.result()

    def wait(references: Sequence[Reference], num_returns: int = 1, timeout: float = 0.0) -> tuple[list[Reference], None]:
        del timeout
        return [reference for reference in references if not reference.held][:num_returns], None

    monkeypatch.setattr(ray_pool, "_actor_class", actor_class)
    monkeypatch.setattr(ray, "get", get)
    monkeypatch.setattr(ray, "wait", wait)
    yield host
    host.close()


@pytest.fixture
def far_away(far: FarHost, pool: RayPool) -> kit.Listener:
    """Two devices hang on it, and are open."""
    listener = kit.Listener(pool)
    for name in ("desk", "shelf"):
        order = on_bench(kit.opening(name))
        pool.submit(order)
        assert listener.done(order.id).error is None
    far.asked.clear()
    return listener


def on_bench(order: Any) -> Any:
    return replace(order, device=replace(order.device, host="bench"))


def with_model(folder: Path) -> Any:
    """An order for the desk, which needs a file."""
    artifact, path = kit.model(folder, n=1)
    return on_bench(kit.probing("desk", kit.task("desk", "a", artifact), models={artifact.sha256: path}))


def sees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of this machine are not on the host."""
    find = Host._find

    def find_received(host: Host, sha256: str, path: Path) -> bool:
        return find(host, sha256, Path("/nowhere"))

    monkeypatch.setattr(Host, "_find", find_received)


def test_a_file_goes_in_parts_and_is_whole_before_the_order_begins(
    monkeypatch: pytest.MonkeyPatch, pool: RayPool, far: FarHost, far_away: kit.Listener, tmp_path: Path
) -> None:
    monkeypatch.setattr(carrying, "PART_BYTES", 3)
    sees_nothing(monkeypatch)
    order = with_model(tmp_path)
    (sha256,) = order.models
    pool.submit(order)
    assert far_away.done(order.id).error is None
    calls = [name for name, _ in far.asked if name not in ("poll", "pid")]
    parts = [arguments[1] for name, arguments in far.asked if name == "receive"]
    content = order.models[sha256].read_bytes()
    assert b"".join(parts) == content
    assert len(parts) == -(-len(content) // 3) > 1
    assert calls == ["missing", *["receive"] * len(parts), "submit"]
    assert (tmp_path / "far" / "received" / sha256).read_bytes() == content
    again = replace(order, id="again")
    pool.submit(again)
    assert far_away.done("again").error is None
    assert [name for name, _ in far.asked if name not in ("poll", "pid")] == [*calls, "submit"]


def test_other_devices_of_a_host_go_on_while_a_file_is_on_its_way(
    monkeypatch: pytest.MonkeyPatch, pool: RayPool, far: FarHost, far_away: kit.Listener, tmp_path: Path
) -> None:
    sees_nothing(monkeypatch)
    far.held.add("receive")
    slow, other = with_model(tmp_path), on_bench(kit.opening("shelf"))
    pool.submit(slow)
    pool.submit(other)
    assert far_away.done(other.id).error is None
    assert not far_away.of(slow.id, Done)


def test_a_file_that_does_not_arrive_ends_its_order_alone(
    monkeypatch: pytest.MonkeyPatch, pool: RayPool, far: FarHost, far_away: kit.Listener, tmp_path: Path
) -> None:
    sees_nothing(monkeypatch)
    monkeypatch.setattr(ray_pool, "PART_LATE_S", -1.0)
    far.held.add("receive")
    slow, other = with_model(tmp_path), on_bench(kit.opening("shelf"))
    pool.submit(slow)
    pool.submit(other)
    error = far_away.done(slow.id).error
    assert error is not None
    assert error[0] == "TransferFailed"
    assert far_away.done(other.id).error is None


def test_a_file_that_cannot_be_read_ends_its_order_alone(
    monkeypatch: pytest.MonkeyPatch, pool: RayPool, far_away: kit.Listener, tmp_path: Path
) -> None:
    sees_nothing(monkeypatch)
    order = with_model(tmp_path)
    (path,) = order.models.values()
    path.unlink()
    pool.submit(order)
    error = far_away.done(order.id).error
    assert error is not None
    assert error[0] == "TransferFailed"
    assert "can't be read" in error[1]


@pytest.mark.parametrize("how", ["cancel", "release"])
def test_an_order_whose_file_is_on_its_way_is_ended_like_any_other(
    monkeypatch: pytest.MonkeyPatch, pool: RayPool, far: FarHost, far_away: kit.Listener, tmp_path: Path, how: str
) -> None:
    sees_nothing(monkeypatch)
    far.held.add("receive")
    order = with_model(tmp_path)
    pool.submit(order)
    if how == "cancel":
        pool.cancel(order.id)
    else:
        pool.release("desk")
    assert far_away.done(order.id).error is None
    assert "submit" not in [name for name, _ in far.asked]


def test_a_host_whose_node_is_gone_is_lost_though_its_actor_has_not_begun(
    monkeypatch: pytest.MonkeyPatch, pool: RayPool, far: FarHost, far_away: kit.Listener
) -> None:
    """Nothing starts an actor there: it would be waited for as long as one that starts on a busy machine."""
    far.held |= {"pid", "poll"}
    order = on_bench(kit.measuring("desk", kit.task("desk", "a")))
    pool.submit(order)
    monkeypatch.setattr(ray_pool, "LOOK_S", 0.0)
    assert not [event for event in pool.events(0.1) if isinstance(event, Done)]
    monkeypatch.setattr(ray_pool, "_resources", lambda: {ray_pool.HEAD})
    done = far_away.done(order.id)
    assert done.error is not None
    assert done.error[0] == "LinkLost"
    assert "no node of the farm's Ray any more" in done.error[1]
