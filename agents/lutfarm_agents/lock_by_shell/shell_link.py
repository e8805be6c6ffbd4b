"""A session through a shell alone, on a device that has no Python."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from lutfarm_agents.device import Claim, Hello
from lutfarm_agents.device_access import DeviceAccess
from lutfarm_agents.discovery.shell_hello import greet
from lutfarm_agents.lock_by_shell.shell_lock import ShellLock, argv
from lutfarm_agents.native_tools.invocation import versions
from lutfarm_agents.transports.interface import Completed
from lutfarm_jobs.errors import LinkLost


@dataclass(slots=True)
class ShellLink:
    """A shell that holds the lock, and runs tools under it."""

    access: DeviceAccess
    _holder: ShellLock | None = None
    _locked: bool = False

    def open(self, opened: ExitStack) -> Hello:
        access, path = self.access, self.access.profile.lock_path
        channel = opened.enter_context(access.transport.spawn(argv(path), env={}))
        self._holder = opened.enter_context(contextlib.closing(ShellLock(channel, access.transport, access.device.name, path)))
        access.model_cache.forget()  # another boot may have emptied the folder
        return self.greet()

    def greet(self) -> Hello:
        access = self.access
        hello = greet(access.transport, access.root, access.device.name)
        return replace(
            hello,
            runtimes=versions(access.device, access.transport),
            environment=access.surroundings.at_rest().beside(hello.environment),
        )

    def take(self, claim: Claim, cancelled: threading.Event) -> Generator[str, None, bool]:
        if self._holder is not None:
            yield from self._holder.take(claim, cancelled)
            self._locked = not cancelled.is_set()
        return self._locked

    def run(self, words: Sequence[str], timeout_s: float) -> Completed:
        if self._holder is None or not self._locked:
            raise LinkLost(f"{self.access.device.name}: no session is open; open the device first")
        return self._holder.run(words, timeout_s)

    def cancel(self) -> None:
        if (holder := self._holder) is not None and self._locked:
            holder.end_tool()

    def stop(self) -> None:
        """The holder ends with its channel."""

    def forget(self) -> None:
        self._holder, self._locked = None, False
