from __future__ import annotations

from contextlib import ExitStack

import pytest

from lutfarm.server.turnstile import Turnstile
from lutfarm_jobs.errors import ServerBusy


def test_whoever_finds_it_full_is_sent_away_and_comes_in_when_it_is_not() -> None:
    turnstile = Turnstile("reading jobs", at_work=2, waiting=0, patience_s=0.0)
    with ExitStack() as inside:
        inside.enter_context(turnstile.turn())
        with turnstile.turn(), pytest.raises(ServerBusy, match="wait for reading jobs"), turnstile.turn():
            pass
        inside.enter_context(turnstile.turn())
    for _ in range(5):
        with turnstile.turn():
            pass


def test_whoever_waits_too_long_is_sent_away_and_leaves_no_trace() -> None:
    turnstile = Turnstile("reading jobs", at_work=1, waiting=1, patience_s=0.0)
    with turnstile.turn():
        for _ in range(5):
            with pytest.raises(ServerBusy, match="takes others too long"), turnstile.turn():
                pass
    with turnstile.turn():
        pass


def test_an_error_gives_the_place_back() -> None:
    turnstile = Turnstile("reading jobs", at_work=1, waiting=0)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), turnstile.turn():
            raise ZeroDivisionError
