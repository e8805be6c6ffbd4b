"""A session through our runner: pushed where it is missing, started, greeted; its supervisor holds the device's lock."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from lutfarm_agents.device import Claim, Hello
from lutfarm_agents.device_access import DeviceAccess
from lutfarm_agents.lock_by_shell.locked_tool import Beside
from lutfarm_agents.lock_by_shell.shell_lock import ShellLock, argv
from lutfarm_agents.native_tools.invocation import versions
from lutfarm_agents.provisioning.push_runner import push_runner
from lutfarm_agents.provisioning.python import python_on
from lutfarm_agents.transports.interface import Completed
from lutfarm_agents.wire.session import RunnerSession, greeted
from lutfarm_jobs.errors import LinkError, LinkLost, ProtocolMismatch
from lutfarm_jobs.runtimes import all_packages

RUNNER_ENVIRONMENT: Mapping[str, str] = {"ORT_DISABLE_TELEMETRY": "1", "PYTHONUNBUFFERED": "1"}


@dataclass(slots=True)
class RunnerLink:
    """One runner at a time; `packed`: where this host keeps it packed."""

    access: DeviceAccess
    packed: Path
    _session: RunnerSession | None = None
    _opened: ExitStack = field(default_factory=ExitStack)
    _claim: Claim | None = None
    _beside: Beside | None = None  # once a tool has run

    @property
    def session(self) -> RunnerSession:
        """Raises LinkLost where none is open."""
        if self._session is None:
            raise LinkLost(f"{self.access.device.name}: no session is open; open the device first")
        return self._session

    def open(self, opened: ExitStack) -> Hello:
        self._session, hello = self._start(opened)
        self._opened = opened
        return hello

    def greet(self) -> Hello:
        with ExitStack() as opened:
            return self._start(opened)[1]

    def _start(self, opened: ExitStack) -> tuple[RunnerSession, Hello]:
        """Push the runner, start it, hear its hello."""
        access, name = self.access, self.access.device.name
        remote, sha256 = push_runner(access.transport, access.root, packed=self.packed)
        python = python_on(access.device, access.transport, access.root)
        words = [*python.argv, "-I", remote, "supervise", *all_packages()]
        channel = opened.enter_context(access.transport.spawn(words, env={**RUNNER_ENVIRONMENT, **python.env}))
        access.model_cache.forget()  # another boot may have emptied the folder
        session = RunnerSession(channel)
        hello = greeted(session, channel, name, python.argv[-1])
        tools = versions(access.device, access.transport)
        if hello.runner_sha256 != sha256:
            raise ProtocolMismatch(f"{name} runs the runner {hello.runner_sha256[:12]}, not {sha256[:12]}")
        environment = access.surroundings.at_rest().beside(hello.environment)
        return session, replace(hello, runtimes={**hello.runtimes, **tools}, environment=environment)

    def take(self, claim: Claim, cancelled: threading.Event) -> Generator[str, None, bool]:
        del cancelled  # its session is told
        self._claim = claim
        session = self.session
        yield from session.lock(claim, self.access.profile.lock_path)
        return not session.cancelled

    def run(self, words: Sequence[str], timeout_s: float) -> Completed:
        if self._beside is None:
            self._beside = self._share_lock()
        return self._beside.run(words, timeout_s)

    def _share_lock(self) -> Beside:
        """Raises LinkLost where the lock is somebody else's by now."""
        session, access, name = self.session, self.access, self.access.device.name
        if self._claim is None:
            raise LinkLost(f"{name}: its lock is not held; open the device first")
        path = access.profile.lock_path
        channel = self._opened.enter_context(access.transport.spawn(argv(path), env={}))
        holder = self._opened.enter_context(contextlib.closing(ShellLock(channel, access.transport, name, path)))
        for who in holder.take(self._claim, threading.Event()):
            raise LinkLost(f"{name}: its lock passed to {who}")
        return Beside(session, holder)

    def cancel(self) -> None:
        session, beside = self._session, self._beside
        if beside is not None:
            beside.holder.end_tool()
        if session is not None:
            with contextlib.suppress(LinkError):
                session.cancel()

    def stop(self) -> None:
        if self._session is not None:
            self._session.stop()

    def forget(self) -> None:
        self._session, self._claim, self._beside = None, None, None
