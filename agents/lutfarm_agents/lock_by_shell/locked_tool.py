"""Tools on a device that has a runner too: the supervisor holds the lock, and a shell shares it that the tool runs under.

So the lock is not free before the tool is gone.  A newer token ends the supervisor's process group, in which the tool is
not: the host sees the supervisor's end at once, and ends the tool.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from lutfarm_agents.lock_by_shell.shell_lock import ShellLock
from lutfarm_agents.transports.interface import Completed
from lutfarm_agents.wire.session import RunnerSession
from lutfarm_jobs.errors import DeviceError, LinkError, ReplyTimeout


@dataclass(frozen=True, slots=True)
class Beside:
    """Runs tools while the supervisor lives."""

    session: RunnerSession
    holder: ShellLock

    def run(self, words: Sequence[str], timeout_s: float) -> Completed:
        """Run a tool to its end.  Raises ReplyTimeout where that does not come.

        Where the supervisor went first, or said what it must not, the tool is ended: raises LinkError, DeviceError.
        """
        ended = threading.Event()
        lost: list[LinkError | DeviceError] = []

        def attend() -> None:
            try:
                self.session.attend(ended)
            except (LinkError, DeviceError) as error:
                lost.append(error)
                self.holder.end_tool()

        watch = threading.Thread(target=attend, name="supervisor", daemon=True)
        watch.start()
        try:
            done = self.holder.run(words, timeout_s)
        except ReplyTimeout:
            if lost:
                raise lost[0] from None
            raise
        finally:
            ended.set()
            watch.join()
        if lost:  # what the tool said until it was ended is no result
            raise lost[0]
        return done
