"""A tool beside a supervisor that goes, or that says what it must not: the tool is ended, and whoever asked hears why."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import cast

import pytest

from lutfarm_agents.lock_by_shell.locked_tool import Beside
from lutfarm_agents.lock_by_shell.shell_lock import ShellLock
from lutfarm_agents.transports.interface import Channel, Completed
from lutfarm_agents.wire.session import RunnerSession
from lutfarm_jobs.errors import FarmError, LinkLost, ProtocolMismatch, ReplyTimeout


class Wire:
    """A channel on which nothing comes but one error, if any."""

    def __init__(self, error: FarmError | None) -> None:
        self._error = error

    def receive(self, timeout_s: float) -> str:
        if self._error:
            raise self._error
        threading.Event().wait(0.01)
        raise ReplyTimeout("nothing")


class Tool:
    """A holder whose tool runs until it is ended, or is done at once."""

    def __init__(self, *, done: bool, late: bool = False) -> None:
        self.ended = threading.Event()
        self._done, self._late = done, late

    def run(self, words: Sequence[str], timeout_s: float) -> Completed:
        if self._done:
            return Completed(0, b"fast", "")
        assert self.ended.wait(30.0), "nobody ended the tool"
        if self._late:
            raise ReplyTimeout("not done")
        return Completed(-9, b"half of it", "")

    def end_tool(self) -> None:
        self.ended.set()


def beside(wire: Wire, tool: Tool) -> Beside:
    return Beside(RunnerSession(cast("Channel", wire)), cast("ShellLock", tool))


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("error", [LinkLost("it is gone"), ProtocolMismatch("a line that is no UTF-8")])
def test_what_the_supervisor_broke_off_with_is_raised_and_the_tool_is_ended(error: FarmError, late: bool) -> None:
    tool = Tool(done=False, late=late)
    with pytest.raises(type(error), match=str(error)):
        beside(Wire(error), tool).run(["tool"], 60.0)
    assert tool.ended.is_set()


def test_a_tool_that_ends_by_itself_says_what_it_said() -> None:
    tool = Tool(done=True)
    before = threading.active_count()
    assert beside(Wire(None), tool).run(["tool"], 60.0).stdout == b"fast"
    assert threading.active_count() == before
    assert not tool.ended.is_set()
