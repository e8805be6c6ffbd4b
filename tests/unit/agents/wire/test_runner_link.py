"""A session through a runner: what is started on the device, with what environment, and what it has to say first."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from tests.messages_kit import HELLO

from lutfarm_agents.conditions.surroundings import Moment
from lutfarm_agents.device import Claim
from lutfarm_agents.device_access import DeviceAccess
from lutfarm_agents.lock_by_shell.shell_lock import argv
from lutfarm_agents.provisioning.python import Python
from lutfarm_agents.testing import ReplayChannel
from lutfarm_agents.wire import runner_link
from lutfarm_agents.wire.runner_link import RunnerLink
from lutfarm_jobs.errors import LinkLost, ProtocolMismatch
from lutfarm_jobs.runtimes import all_packages

CLAIM = Claim("desk", "host 1 2", "anna@lab", "f" * 32, 7)
DONE = json.dumps({"type": "done", "cancelled": False})


class Board:
    """A transport whose processes say these lines, one list for each that is started."""

    def __init__(self, *said: Sequence[str]) -> None:
        self.spawned: list[tuple[list[str], dict[str, str]]] = []
        self.forgot = 0
        self.running = 0
        self._said = list(said)

    @contextlib.contextmanager
    def spawn(self, words: Sequence[str], *, env: Mapping[str, str]) -> Generator[ReplayChannel]:
        self.spawned.append((list(words), dict(env)))
        self.running += 1
        yield ReplayChannel(self._said.pop(0))
        self.running -= 1

    def forget(self) -> None:
        self.forgot += 1


def link_to(board: Board, monkeypatch: pytest.MonkeyPatch, *, sha256: str = "ab" * 32) -> RunnerLink:
    def push_runner(transport: object, root: str, *, packed: Path) -> tuple[str, str]:
        assert (transport, root, packed) == (board, "/lutfarm", Path("/packed"))
        return "/lutfarm/runner.pyz", sha256

    def python_on(device: object, transport: object, root: str) -> Python:
        return Python(("/bundle/ld.so", "/bundle/python3"), {"PYTHONHOME": "/bundle", "PYTHONUNBUFFERED": "x"})

    def versions(device: object, transport: object) -> dict[str, str]:
        return {"benchmark_model": "2.16"}

    for fake in (push_runner, python_on, versions):
        monkeypatch.setattr(runner_link, fake.__name__, fake)
    access = SimpleNamespace(
        device=SimpleNamespace(name="desk"),
        profile=SimpleNamespace(lock_path="/tmp/lock"),
        transport=board,
        root="/lutfarm",
        model_cache=board,
        surroundings=SimpleNamespace(at_rest=Moment),
    )
    return RunnerLink(cast("DeviceAccess", access), Path("/packed"))


def test_the_runner_starts_alone_with_our_environment_and_what_its_python_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Telemetry is off whatever the device has; a bundle knows its own Python best."""
    board = Board([json.dumps(HELLO)])
    with ExitStack() as opened:
        hello = link_to(board, monkeypatch).open(opened)
    ((words, env),) = board.spawned
    assert words == ["/bundle/ld.so", "/bundle/python3", "-I", "/lutfarm/runner.pyz", "supervise", *all_packages()]
    assert env == {"ORT_DISABLE_TELEMETRY": "1", "PYTHONHOME": "/bundle", "PYTHONUNBUFFERED": "x"}
    assert hello.runtimes == {"onnxruntime": "1.32.0", "benchmark_model": "2.16"}
    assert board.forgot == 1


def test_a_runner_that_is_not_the_one_that_was_pushed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProtocolMismatch, match="desk runs the runner abababababab, not cdcdcdcdcdcd"), ExitStack() as opened:
        link_to(Board([json.dumps(HELLO)]), monkeypatch, sha256="cd" * 32).open(opened)


def test_a_greeting_leaves_nothing_running(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board([json.dumps(HELLO)])
    assert link_to(board, monkeypatch).greet().cpu_model == HELLO["cpu_model"]
    assert board.running == 0


def taken(link: RunnerLink, opened: ExitStack) -> bool:
    link.open(opened)
    with pytest.raises(StopIteration) as ended:
        next(link.take(CLAIM, threading.Event()))
    return ended.value.value


def test_a_tool_beside_it_waits_for_nobody_who_has_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board([json.dumps(HELLO), DONE], ["holder 12 34", "held", "content "])
    link = link_to(board, monkeypatch)
    with ExitStack() as opened:
        assert taken(link, opened)
        with pytest.raises(LinkLost, match="desk: its lock passed to unknown holder"):
            link.run(["tool"], 30.0)
    assert board.spawned[1] == (argv("/tmp/lock"), {})


def test_no_tool_runs_before_the_lock_is_held_or_after_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    link = link_to(Board([json.dumps(HELLO), DONE]), monkeypatch)
    with ExitStack() as opened:
        link.open(opened)
        with pytest.raises(LinkLost, match="its lock is not held; open the device first"):
            link.run(["tool"], 30.0)
    link.forget()
    with pytest.raises(LinkLost, match="no session is open; open the device first"):
        link.run(["tool"], 30.0)
