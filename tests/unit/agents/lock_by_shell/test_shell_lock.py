"""The lock of a device without Python, as its host asks for it: a shell's answers, replayed."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from lutfarm_agents.device import Claim
from lutfarm_agents.lock_by_shell.shell_lock import ShellLock
from lutfarm_agents.testing import ReplayChannel
from lutfarm_agents.transports.end_marked import END_MARKED
from lutfarm_agents.transports.interface import Completed, Transport
from lutfarm_jobs.errors import FarmError, LinkLost, NotReady, ProtocolMismatch, ReplyTimeout, SpecError

CLAIM = Claim("desk", "host 1 2", "anna@lab", "f" * 32, 7)


def content(owner: str, holder: str) -> str:
    said = {"owner": owner, "holder": holder, "farm": "f" * 32, "token": 7, "device": "desk"}
    said |= {"pid": 12, "pid_start": 1, "since_s": 1.0}
    return f"content {base64.b64encode(json.dumps(said).encode()).decode()}"


def taking(*answers: str) -> tuple[list[str], list[str]]:
    """Who was waited for once, and what was asked; the host is cancelled then."""
    channel = ReplayChannel(["holder 12 34", *answers])
    holder = ShellLock(channel, cast("Transport", None), "desk", "/tmp/lock")
    cancelled = threading.Event()
    waited: list[str] = []
    for who in holder.take(CLAIM, cancelled):
        waited.append(who)
        cancelled.set()
    holder.close()
    return waited, [line.split()[0] for line in channel.sent if not line.startswith("keep")]


def test_a_session_of_the_same_owner_is_joined() -> None:
    mine = content("host 1 2", "anna@lab")
    assert taking("held", mine, "joined", mine) == ([], ["take", "show", "join", "show"])


def test_who_came_in_while_it_was_joined_has_it() -> None:
    """The owner's last session may end, and another's begin, between looking and joining."""
    mine, other = content("host 1 2", "anna@lab"), content("host 9 9", "bert")
    assert taking("held", mine, "joined", other, "left") == (["anna@lab"], ["take", "show", "join", "show", "leave"])


def test_the_lock_says_who_has_it_and_which_process_of_the_device() -> None:
    channel = ReplayChannel(["holder 12 34", "ours"])
    holder = ShellLock(channel, cast("Transport", None), "desk", "/tmp/lock")
    assert list(holder.take(CLAIM, threading.Event())) == []
    (asked,) = [line for line in channel.sent if line.startswith("take")]
    written = json.loads(asked.partition("\n")[2])
    assert written.pop("since_s") > 0
    assert written == {
        "owner": "host 1 2",
        "holder": "anna@lab",
        "farm": "f" * 32,
        "token": 7,
        "device": "desk",
        "pid": 12,
        "pid_start": 34,
    }
    holder.close()


def test_renewals_keep_no_process_alive() -> None:
    holder = ShellLock(ReplayChannel(["holder 12 34", "ours"]), cast("Transport", None), "lone", "/tmp/lock")
    assert list(holder.take(CLAIM, threading.Event())) == []
    (renewing,) = [thread for thread in threading.enumerate() if thread.name == "lock of lone"]
    assert renewing.daemon
    holder.close()
    renewing.join(60)
    assert not renewing.is_alive()


def test_content_that_is_no_content_has_an_unknown_holder_who_is_waited_for() -> None:
    assert taking("held", "content abc") == (["unknown holder"], ["take", "show"])
    with pytest.raises(ProtocolMismatch, match="where the lock's content was due"):
        taking("held", "contents !")


def test_an_older_session_of_the_same_lease_is_ended() -> None:
    older = {
        "owner": "host 9 9",
        "holder": "anna@lab",
        "farm": "f" * 32,
        "token": 6,
        "device": "desk",
        "pid": 55,
        "pid_start": 77,
    }
    said = base64.b64encode(json.dumps({**older, "since_s": 1.0}).encode()).decode()
    channel = ReplayChannel(["holder 12 34", "held", f"content {said}", "ended", "ours"])
    holder = ShellLock(channel, cast("Transport", None), "desk", "/tmp/lock")
    assert list(holder.take(CLAIM, threading.Event())) == ["anna@lab"]
    assert "end 55 77" in channel.sent
    holder.close()


class Waits(threading.Event):
    """How long was waited between two attempts; set by the first wait."""

    def __init__(self) -> None:
        super().__init__()
        self.seen_s: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.seen_s.append(timeout)
        self.set()
        return True


@pytest.mark.parametrize(
    ("older", "answers", "asked", "waited_s"),
    [
        ({}, ["ended"], ["take", "show", "end"], 0.5),  # its lock is free in a moment
        ({}, ["unproved"], ["take", "show", "end"], 4.0),  # somebody measures there
        ({"token": 7}, [], ["take", "show"], 4.0),
        ({"farm": "e" * 32}, [], ["take", "show"], 4.0),
    ],
)
def test_who_measures_is_asked_for_seldom_and_who_was_ended_soon(
    older: dict[str, object], answers: list[str], asked: list[str], waited_s: float
) -> None:
    said = {"owner": "host 9 9", "holder": "bert", "farm": "f" * 32, "token": 6, "device": "desk", "pid": 55, "pid_start": 77}
    content_line = base64.b64encode(json.dumps({**said, "since_s": 1.0, **older}).encode()).decode()
    channel = ReplayChannel(["holder 12 34", "held", f"content {content_line}", *answers])
    holder, waits = ShellLock(channel, cast("Transport", None), "desk", "/tmp/lock"), Waits()
    assert list(holder.take(CLAIM, waits)) == ["bert"]
    assert waits.seen_s == [waited_s]
    assert [line.split()[0] for line in channel.sent if not line.startswith("keep")] == asked
    holder.close()


@pytest.mark.parametrize(
    ("why", "cure"),
    [
        ("it is a symbolic link", "remove it, or correct lock_path"),
        ("it has more than one name", "remove it, or correct lock_path"),
        ("it can't be written", "free space there, give access to it, or correct lock_path"),
        ("sh: can't create it: No space left on device", "free space there, give access to it, or correct lock_path"),
        ("sh: Permission denied", "; give access to it, or correct lock_path"),
        ("sh: permission denied", "; give access to it, or correct lock_path"),
        ("it is no plain file", "; correct lock_path"),
    ],
)
def test_a_lock_that_can_not_be_used_says_why_and_what_to_do(why: str, cure: str) -> None:
    with pytest.raises(NotReady) as caught:
        taking(f"refused {why}")
    assert f"the lock /tmp/lock can't be used: {why}; " in str(caught.value)
    assert cure in str(caught.value)


def test_what_a_device_says_of_its_lock_is_told_without_control_characters_and_not_at_any_length() -> None:
    with pytest.raises(NotReady) as caught:
        taking("refused " + "\x1b" * 10 + "z" * 5000)
    assert "\x1b" not in str(caught.value)
    assert 250 < str(caught.value).count("z") <= 300


@pytest.mark.parametrize(
    ("greeting", "error", "named"),
    [
        ("lacks flock", NotReady, "it has no flock, "),
        ("lacks setsid", NotReady, "it has no setsid, "),
        ("hello", ProtocolMismatch, "its shell said 'hello'"),
        ("holder 12", ProtocolMismatch, "instead of who holds the lock"),
        ("holder 12 34 56", ProtocolMismatch, "instead of who holds the lock"),
        ("holder 12 -34", ProtocolMismatch, "instead of who holds the lock"),
    ],
)
def test_a_shell_that_can_not_hold_a_lock_is_refused(greeting: str, error: type[FarmError], named: str) -> None:
    with pytest.raises(error, match=named) as caught:
        ShellLock(ReplayChannel([greeting]), cast("Transport", None), "desk", "/tmp/lock")
    assert str(caught.value).startswith("desk: ")


class Shell(ReplayChannel):
    """A device's shell that runs tools: TOKEN in what it says is that of the last run; an error is raised in its turn."""

    def __init__(self, *said: str | FarmError) -> None:
        super().__init__(["holder 12 34"])
        self.waited_s: list[float] = []
        self.ended: list[str] = []
        self._said = list(said)
        self.transport = cast("Transport", SimpleNamespace(run=self._run))
        self.holder = ShellLock(self, self.transport, "desk", "/tmp/lock")
        self.waited_s.clear()

    def _run(self, words: Sequence[str]) -> Completed:
        assert list(words[:3]) == ["sh", "-c", END_MARKED]
        name, _, token = words[-1].partition("=")
        assert name == "LUTFARM_TOOL"
        self.ended.append(token)
        return Completed(0, b"", "")

    @property
    def token(self) -> str:
        return next(line.split()[1] for line in reversed(self.sent) if line.startswith("run "))

    def receive(self, timeout_s: float) -> str:
        self.waited_s.append(timeout_s)
        if not self.sent:
            return super().receive(timeout_s)
        said = self._said.pop(0)
        if isinstance(said, FarmError):
            raise said
        return said.replace("TOKEN", self.token)


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time stands still."""
    monkeypatch.setattr(
        "lutfarm_agents.lock_by_shell.shell_lock.time", SimpleNamespace(monotonic=lambda: 100.0, time=lambda: 5.0)
    )


@pytest.mark.parametrize(("code", "seen"), [(0, 0), (3, 3), (127, 127), (128, 128), (137, -9), (143, -15)])
def test_a_tool_runs_under_the_lock_and_its_words_and_status_come_back(still: None, code: int, seen: int) -> None:
    shell = Shell("one", "ended-0000 0", "", f"ended-TOKEN {code}")
    assert shell.holder.run(["tool", "--flag"], 30.0) == Completed(seen, b"one\nended-0000 0\n\n", "")
    # The bound is the tool's, and after it the host's again.
    assert shell.sent == ["keep 90", f"run {shell.token} 2\ntool\n--flag", "keep 60"]
    assert shell.waited_s == [30.0] * 4
    assert shell.ended == []


def test_a_link_that_breaks_after_a_tool_has_ended_takes_nothing_of_what_it_said() -> None:
    class Breaking(Shell):
        def send(self, line: str) -> None:
            super().send(line)
            if line == "keep 60":
                raise LinkLost("gone")

    assert Breaking("one", "ended-TOKEN 0").holder.run(["tool"], 30.0) == Completed(0, b"one\n", "")


def test_no_two_tools_have_the_same_token() -> None:
    shell = Shell("ended-TOKEN 0", "ended-TOKEN 0")
    tokens: set[str] = set()
    for _ in range(2):
        shell.holder.run(["tool"], 30.0)
        tokens.add(shell.token)
    assert len(tokens) == 2
    assert all(len(token) == 32 for token in tokens)


@pytest.mark.parametrize("word", ["a\nb", "a\0b"])
def test_a_word_that_would_be_two_lines_is_refused(word: str) -> None:
    shell = Shell()
    with pytest.raises(SpecError, match="newline"):
        shell.holder.run(["tool", word], 30.0)
    assert shell.sent == []


def test_a_tool_that_takes_too_long_is_ended_and_waited_for(still: None) -> None:
    shell = Shell("it begins", ReplyTimeout("nothing"), "ended-TOKEN 137")
    with pytest.raises(ReplyTimeout, match="tool on the device did not end within 30 s"):
        shell.holder.run(["tool"], 30.0)
    assert shell.ended == [shell.token]
    assert shell.waited_s == [30.0, 30.0, 20.0]
    assert shell.sent[-1] == "keep 60"
    shell.holder.end_tool()  # none runs any more
    assert shell.ended == [shell.token]


def test_a_tool_that_can_not_be_ended_is_a_lost_link(still: None) -> None:
    shell = Shell(ReplyTimeout("nothing"), ReplyTimeout("nothing"))
    with pytest.raises(LinkLost, match="desk: a tool could not be ended"):
        shell.holder.run(["tool"], 30.0)


def test_a_tool_that_says_too_much_is_ended() -> None:
    half = "x" * (1 << 19)
    shell = Shell(half[:-1], half[:-1], "ended-TOKEN 0")
    assert len(shell.holder.run(["tool"], 30.0).stdout) == 1 << 20
    shell = Shell(half[:-1], half, "ended-TOKEN 0")
    with pytest.raises(LinkLost, match="desk: a tool said more than 1048576 bytes"):
        shell.holder.run(["tool"], 30.0)
    assert shell.ended == [shell.token]


def test_lines_that_are_no_text_are_left_out_but_not_without_end() -> None:
    bad = ProtocolMismatch("no UTF-8")
    assert Shell("a", *[bad] * 1000, "b", "ended-TOKEN 0").holder.run(["tool"], 30.0).stdout == b"a\nb\n"
    with pytest.raises(ProtocolMismatch):
        Shell(*[bad] * 1001, "ended-TOKEN 0").holder.run(["tool"], 30.0)


class Passing:
    """Time that passes only while the renewals wait; closed at `until_s`."""

    def __init__(self, until_s: float) -> None:
        self.now_s = 100.0
        self._until_s = until_s

    def monotonic(self) -> float:
        return self.now_s

    def time(self) -> float:
        return self.now_s

    def wait(self, seconds_s: float) -> bool:
        self.now_s += seconds_s
        return self.now_s > self._until_s


def renewed(monkeypatch: pytest.MonkeyPatch, *, token: str = "", lost: bool = False) -> tuple[list[float], Passing]:
    """When renewals were sent within 100 s."""
    passing = Passing(until_s=200.0)
    monkeypatch.setattr("lutfarm_agents.lock_by_shell.shell_lock.time", passing)
    at_s: list[float] = []

    class Told(ReplayChannel):
        def send(self, line: str) -> None:
            assert line == "keep 60"
            at_s.append(passing.now_s)
            if lost:
                raise LinkLost("gone")

    holder = ShellLock(Told(["holder 12 34"]), cast("Transport", None), "desk", "/tmp/lock")
    monkeypatch.setattr(holder, "_closed", passing)
    monkeypatch.setattr(holder, "_renewed_s", 100.0)
    monkeypatch.setattr(holder, "_token", token)
    holder._renew()
    return at_s, passing


def test_a_lock_that_is_held_is_renewed_well_before_its_watchdog_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    at_s, _ = renewed(monkeypatch)
    assert at_s == [120.0, 140.0, 160.0, 180.0, 200.0]


def test_while_a_tool_runs_nothing_shortens_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    assert renewed(monkeypatch, token="ab" * 16)[0] == []


def test_renewals_end_with_the_link_and_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    at_s, passing = renewed(monkeypatch, lost=True)
    assert at_s == [120.0]
    assert passing.now_s == 120.0
