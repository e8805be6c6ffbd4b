"""The first signal waits for a safe place, the second does not."""

from __future__ import annotations

import signal

import pytest

from lutfarm.cli import exit_codes
from lutfarm.cli.terminal.signals import Interrupted, deferred


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_waits_for_a_check_and_gives_the_exit_code(signum: int, code: int) -> None:
    reached = False
    with pytest.raises(BaseException) as ended, exit_codes.exits(), deferred() as check:  # noqa: PT011
        check()
        signal.raise_signal(signum)
        reached = True
        check()
    assert reached
    assert getattr(ended.value, "exit_code", None) == code


def test_the_second_is_raised_at_once() -> None:
    with pytest.raises(Interrupted), deferred():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the second one waited too")


def test_a_second_that_comes_back_without_its_number_gives_its_exit_code_all_the_same() -> None:
    with pytest.raises(Interrupted) as ended, deferred():
        signal.raise_signal(signal.SIGINT)
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise KeyboardInterrupt from None  # as Ray's waiting calls do
    assert ended.value.signum == signal.SIGTERM


def test_one_that_nothing_checked_is_raised_at_the_end_and_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted), deferred():
        signal.raise_signal(signal.SIGTERM)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
