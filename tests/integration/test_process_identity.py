"""Which process one is: by its number and its start, on a machine as it is booted now."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from dataclasses import replace

import pytest

from lutfarm_agents import process_identity
from lutfarm_agents.process_identity import Process, has_ended, me, of, parse

NAP = [sys.executable, "-c", "import sys; sys.stdin.read()"]
NEVER = 999_999_999  # beyond the largest number that Linux gives


@pytest.fixture
def other() -> Generator[subprocess.Popen[bytes]]:
    with subprocess.Popen(NAP, stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_this_process_lives_and_is_the_same_each_time() -> None:
    assert me() == me() == parse(str(me()))
    assert me().is_alive
    assert not me().has_ended
    assert not has_ended(str(me()))


def test_another_lives_until_it_has_ended_though_nobody_asked_for_its_status(other: subprocess.Popen[bytes]) -> None:
    known = of(other.pid)
    assert (known.is_alive, known.has_ended, known == me()) == (True, False, False)
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # it has ended and is still in the table
    assert (known.is_alive, known.has_ended) == (False, True)
    other.wait()
    assert (known.is_alive, known.has_ended) == (False, True)
    assert not of(other.pid).is_alive


def test_a_number_that_was_given_again_is_another_process() -> None:
    earlier = replace(me(), started=me().started - 1)
    assert (earlier.is_alive, earlier.has_ended) == (False, True)


@pytest.mark.parametrize(
    "change", [{"host": "elsewhere"}, {"place": "0" * 16}], ids=["another host", "another boot or container"]
)
def test_what_ran_elsewhere_is_neither_alive_here_nor_known_to_have_ended(change: dict[str, str]) -> None:
    for process in (replace(me(), **change), replace(me(), pid=NEVER, **change)):
        assert (process.is_alive, process.has_ended) == (False, False)
        assert not has_ended(str(process))


@pytest.mark.parametrize(
    "text",
    ["", "desk", "desk 17 1.00", "desk:0123456789abcdef:17", ":0123456789abcdef:1:1", "a b:0123456789abcdef:1:1", "a:0:1:1:1"],
)
def test_what_names_no_process_has_not_ended(text: str) -> None:
    assert parse(text) is None
    assert not has_ended(text)


def test_a_process_that_can_not_be_looked_at_is_taken_to_live(
    other: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = of(other.pid)
    monkeypatch.setattr(process_identity, "started_at", lambda pid: 0)  # /proc mounted with hidepid
    assert not known.has_ended
    assert replace(known, pid=NEVER).has_ended


def test_one_that_ended_before_it_was_looked_at() -> None:
    assert of(NEVER) == Process(me().host, me().place, NEVER, 0)
    assert (of(NEVER).is_alive, of(NEVER).has_ended) == (False, True)
