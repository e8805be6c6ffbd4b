"""A session through a shell: what is started on the device, and from when on tools may run there."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack
from types import SimpleNamespace
from typing import cast

import pytest

from lutfarm_agents.device import Claim, Hello
from lutfarm_agents.device_access import DeviceAccess
from lutfarm_agents.lock_by_shell import shell_link
from lutfarm_agents.lock_by_shell.shell_link import ShellLink
from lutfarm_agents.lock_by_shell.shell_lock import argv
from lutfarm_agents.testing import HELLO, ReplayChannel
from lutfarm_jobs.errors import LinkLost

CLAIM = Claim("desk", "host 1 2", "anna@lab", "f" * 32, 7)
TOOLS = {"benchmark_model": "2.16"}


class Board(ReplayChannel):
    """A board's shell that says this, and its transport; TOKEN in what it says is that of the last run."""

    def __init__(self, *said: str) -> None:
        super().__init__(["holder 12 34", *said])
        self.spawned: list[tuple[list[str], dict[str, str]]] = []
        self.forgot = 0
        self.ended: list[str] = []

    @contextlib.contextmanager
    def spawn(self, words: Sequence[str], *, env: Mapping[str, str]) -> Generator[ReplayChannel]:
        self.spawned.append((list(words), dict(env)))
        yield self

    def run(self, words: Sequence[str]) -> None:
        self.ended.append(words[-1])

    def receive(self, timeout_s: float) -> str:
        tokens = [line.split()[1] for line in self.sent if line.startswith("run ")]
        return super().receive(timeout_s).replace("TOKEN", tokens[-1] if tokens else "")

    def forget(self) -> None:
        self.forgot += 1


def link_to(board: Board, monkeypatch: pytest.MonkeyPatch) -> ShellLink:
    def greet(transport: object, root: str, name: str) -> Hello:
        assert (transport, root, name) == (board, "/lutfarm", "desk")
        return HELLO

    def versions(device: object, transport: object) -> dict[str, str]:
        return TOOLS

    monkeypatch.setattr(shell_link, "greet", greet)
    monkeypatch.setattr(shell_link, "versions", versions)
    climate = SimpleNamespace(beside=lambda seen: ("at rest", seen))
    access = SimpleNamespace(
        device=SimpleNamespace(name="desk"),
        profile=SimpleNamespace(lock_path="/tmp/lock"),
        transport=board,
        root="/lutfarm",
        model_cache=board,
        surroundings=SimpleNamespace(at_rest=lambda: climate),
    )
    return ShellLink(cast("DeviceAccess", access))


def test_a_session_starts_the_shell_that_holds_the_lock_and_says_what_the_device_has(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board()
    with ExitStack() as opened:
        hello = link_to(board, monkeypatch).open(opened)
    assert board.spawned == [(argv("/tmp/lock"), {})]
    assert board.forgot == 1
    assert (hello.system, hello.runtimes, hello.environment) == (HELLO.system, TOOLS, ("at rest", HELLO.environment))


def test_a_tool_runs_from_when_the_lock_is_taken_until_it_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board("ours", "one", "ended-TOKEN 0")
    link = link_to(board, monkeypatch)
    with ExitStack() as opened:
        link.open(opened)
        with pytest.raises(LinkLost, match="desk: no session is open"):
            link.run(["tool"], 30.0)
        with pytest.raises(StopIteration) as taken:
            next(link.take(CLAIM, threading.Event()))
        assert taken.value.value is True
        (asked,) = [line for line in board.sent if line.startswith("take")]
        assert json.loads(asked.partition("\n")[2])["holder"] == "anna@lab"
        assert link.run(["tool"], 30.0).stdout == b"one\n"
    link.forget()
    with pytest.raises(LinkLost, match="desk: no session is open"):
        link.run(["tool"], 30.0)


def test_who_is_cancelled_does_not_have_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    link, cancelled = link_to(Board(), monkeypatch), threading.Event()
    cancelled.set()
    with ExitStack() as opened:
        link.open(opened)
        with pytest.raises(StopIteration) as taken:
            next(link.take(CLAIM, cancelled))
        assert taken.value.value is False
        with pytest.raises(LinkLost):
            link.run(["tool"], 30.0)


def test_a_session_that_was_not_opened_has_no_lock_to_take(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StopIteration) as taken:
        next(link_to(Board(), monkeypatch).take(CLAIM, threading.Event()))
    assert taken.value.value is False
