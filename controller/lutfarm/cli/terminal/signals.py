"""Ctrl-C and SIGTERM while a farm runs: remembered, and raised where nothing is half done."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)
STOPPING = b"\nstopping at the next safe place; once more stops at once\n"


class Interrupted(KeyboardInterrupt):
    """The person, or the system, wants it to end."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


@contextmanager
def deferred() -> Generator[Callable[[], None]]:
    """Within it the first signal is remembered, and the second raised at once; what is yielded raises Interrupted after a first.

    An exception that is raised wherever the signal happens to arrive can be lost: Python drops it in the callbacks of a fork,
    of which starting Ray has many, and the run would go on.  At the end of the block a first signal is raised too.
    """
    seen: list[int] = []

    def remember(signum: int, _frame: object) -> None:
        seen.append(signum)
        if len(seen) > 1:
            raise Interrupted(signum)
        os.write(2, STOPPING)  # print is not safe where a signal may arrive in the middle of one

    def check() -> None:
        if seen:
            raise Interrupted(seen[0])

    before = {signum: signal.signal(signum, remember) for signum in SIGNALS}
    try:
        yield check
        check()
    except KeyboardInterrupt as error:
        if seen and not isinstance(error, Interrupted):  # Ray's waiting calls raise their own, of no signal
            raise Interrupted(seen[-1]) from error
        raise
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
