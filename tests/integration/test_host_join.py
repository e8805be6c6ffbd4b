"""`lutfarm host join` beside a server and a Ray that do as they are told."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from lutfarm.agent_pool.ray.join_ray import end_node
from lutfarm.agent_pool.ray.whereabouts import Versions, Whereabouts
from lutfarm.hosts import join as joining
from lutfarm.hosts.join import ThisHost, join
from lutfarm_agents.process_identity import of
from lutfarm_jobs.errors import (
    AccessDenied,
    FarmError,
    NotReady,
    ServerBug,
    ServerBusy,
    ServerUnreachable,
    SpecError,
    StoreError,
    StoreUnwritable,
    TokenRefused,
    TooManyRequests,
)

HOST = ThisHost("bench", "10.0.0.7", Path("/nowhere"), ())


@dataclass
class Told:
    """A server that answers one after the other of these, then the last one for good."""

    answers: Sequence[FarmError | Whereabouts | None]
    seen: list[bool] = field(default_factory=list[bool])  # what the host said of itself
    left: int = 0

    def host_seen(self, name: str, *, session: str, address: str, versions: Versions, joined: bool) -> Whereabouts | None:
        answer = self.answers[min(len(self.seen), len(self.answers) - 1)]
        self.seen.append(joined)
        if isinstance(answer, FarmError):
            raise answer
        return answer

    def host_leaves(self, name: str, *, session: str) -> None:
        self.left += 1


def joins(server: Told, looks: int) -> list[str]:
    """What people are told while it looks so often."""
    said: list[str] = []
    join(HOST, server, ended=lambda _: len(server.seen) >= looks, tell=said.append)
    return said


@pytest.mark.parametrize("kind", [ServerUnreachable, StoreError, StoreUnwritable, ServerBug, ServerBusy, TooManyRequests])
def test_what_passes_by_itself_is_waited_for(kind: type[FarmError]) -> None:
    server = Told([kind("its disk is full"), None])
    said = joins(server, 2)
    assert said == ["waiting for the server: its disk is full", "bench: waiting until the farm's Ray has started"]
    assert server.left == 1


@pytest.mark.parametrize("kind", [SpecError, AccessDenied, TokenRefused, NotReady])
def test_what_a_person_must_mend_ends_it(kind: type[FarmError]) -> None:
    server = Told([kind("start it again with --executor ray")])
    with pytest.raises(kind, match="start it again"):
        joins(server, 2)
    assert (len(server.seen), server.left) == (1, 1)


@dataclass
class Node:
    """Stands for the process that keeps a node of a Ray."""

    joins_at: int  # the look at which its raylet is there
    ended: bool = False
    looks: int = 0

    def poll(self) -> int | None:
        return 1 if self.ended else None


@dataclass
class Rays:
    """Every node that was started, with where; `joins_at` of each."""

    joins_at: Sequence[int]
    nodes: list[Node] = field(default_factory=list[Node])
    places: list[str] = field(default_factory=list[str])

    @contextmanager
    def ray_node(self, where: Whereabouts, **_: object) -> Generator[Node]:
        node = Node(self.joins_at[len(self.nodes)])
        self.nodes.append(node)
        self.places.append(where.address)
        yield node
        node.ended = True

    def has_joined(self, node: Node) -> bool:
        node.looks += 1
        return node.looks >= node.joins_at


def rays(monkeypatch: pytest.MonkeyPatch, *joins_at: int) -> Rays:
    found = Rays(joins_at)
    monkeypatch.setattr(joining, "ray_node", found.ray_node)
    monkeypatch.setattr(joining, "has_joined", found.has_joined)
    return found


HERE, THERE = Whereabouts("10.0.0.1:6379", "a" * 64), Whereabouts("10.0.0.1:7000", "b" * 64)


def test_the_host_says_that_it_is_there_while_its_node_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    found, server = rays(monkeypatch, 3), Told([HERE])
    said = joins(server, 6)
    assert server.seen == [False, False, False, False, True, True]
    assert said == ["bench joins the Ray at 10.0.0.1:6379", "bench is a host of the farm, and a node of its Ray at 10.0.0.1:6379"]
    assert [node.ended for node in found.nodes] == [True]


def test_a_node_that_never_joined_is_not_said_to_have_joined_and_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "STARTS_S", -1.0)
    found, server = rays(monkeypatch, 100, 100, 100), Told([HERE])
    said = joins(server, 3)
    assert server.seen == [False, False, False]
    assert said[-1] == "bench: the Ray at 10.0.0.1:6379 did not take this machine; it is tried again"
    assert [node.ended for node in found.nodes] == [True, True, True]


def test_a_node_whose_ray_ended_is_started_where_the_next_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    found, server = rays(monkeypatch, 1, 1), Told([HERE, HERE, HERE, None, THERE, THERE, THERE])
    said = joins(server, 7)
    assert found.places == [HERE.address, THERE.address]
    assert server.seen == [False, False, True, True, False, False, True]
    assert not any("did not take" in line for line in said)


@pytest.fixture
def other() -> Generator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_process_that_has_the_number_of_a_node_that_ended_lives_on(other: subprocess.Popen[bytes]) -> None:
    known = of(other.pid)
    end_node(replace(known, started=known.started - 1))
    assert other.poll() is None
    end_node(known)
    assert not known.is_alive


def test_the_watcher_ends_the_very_process_that_it_was_told_of(other: subprocess.Popen[bytes]) -> None:
    known = of(other.pid)
    code = "from lutfarm.agent_pool.ray.join_ray import watch; watch()"
    for node in (replace(known, started=known.started - 1), known):
        assert other.poll() is None
        subprocess.run([sys.executable, "-c", code, str(node)], stdin=subprocess.DEVNULL, check=True, timeout=120)
    assert other.wait(60) == -signal.SIGTERM
