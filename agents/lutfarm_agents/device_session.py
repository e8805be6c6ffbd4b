"""A session with one device: opened, locked, cancelled, ended when its link breaks, closed.  Who measures does so over it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Protocol

from lutfarm_agents.conditions.measured_cores import measured_cpus
from lutfarm_agents.device import Claim, Hello
from lutfarm_agents.device_access import DeviceAccess
from lutfarm_agents.fingerprint import fingerprint
from lutfarm_agents.transports.interface import Completed
from lutfarm_jobs.errors import DeviceError, FarmError, LinkError, LinkLost, RunnerBug
from lutfarm_jobs.round import Slicing, Task
from lutfarm_jobs.spaces import added_by


class Link(Protocol):
    """Through what a session speaks with its device: our runner, or a shell."""

    def open(self, opened: ExitStack) -> Hello:
        """Start what answers there; it ends with `opened`.  Raises LinkError, DeviceError."""
        ...

    def greet(self) -> Hello:
        """What the device says of itself; nothing stays open."""
        ...

    def take(self, claim: Claim, cancelled: threading.Event) -> Generator[str, None, bool]:
        """Take the device's lock, yielding who has it; whether it is ours then."""
        ...

    def run(self, words: Sequence[str], timeout_s: float) -> Completed:
        """Run a tool under the lock.  Raises LinkError, ReplyTimeout."""
        ...

    def cancel(self) -> None:
        """End what runs there, soon; from any thread."""
        ...

    def stop(self) -> None:
        """Ask what answers there to end."""
        ...

    def forget(self) -> None:
        """It is gone."""
        ...


class DeviceSession:
    """What every agent has in common.  `access` and `cancelled` are for those who measure over it."""

    def __init__(self, access: DeviceAccess, link: Link) -> None:
        self.access = access
        self.device, self.profile = access.device, access.profile
        self.spent_ns: Mapping[str, int] = {}
        self.cancelled = threading.Event()
        self._link = link
        self._opened = ExitStack()
        self._hello: Hello | None = None
        self._locked = False

    @property
    def ready(self) -> bool:
        """Whether the session is open and the device's lock held."""
        return self._locked

    @property
    def pushed(self) -> int:
        """How many model files this agent copied to the device."""
        return self.access.model_cache.pushed

    def prepare(self, claim: Claim) -> Iterator[str]:
        """Open the session and take the lock; yields who has it while it waits."""
        self.cancelled.clear()
        return self._prepare(claim)

    def _prepare(self, claim: Claim) -> Iterator[str]:
        began_ns = time.monotonic_ns()
        self.spent_ns = {}
        self._drop()
        self.access.transport.reap()
        with self.dropping():
            self._hello = self._link.open(self._opened)
            self.spent_ns = {"other": time.monotonic_ns() - began_ns}  # waiting for others is no use of the device
            if not self.cancelled.is_set():
                self._locked = yield from self._link.take(claim, self.cancelled)
                if self._locked:
                    self.access.surroundings.restore()  # an earlier session may have died before it could
        if not self._locked:
            self._drop()

    def hello(self) -> Hello:
        """What the device says of itself.  Takes no lock."""
        hello = self._hello
        if hello is None:
            self.access.transport.reap()
            hello = self._link.greet()
        return replace(hello, remarks=self.access.transport.remarks)

    def opened_hello(self) -> Hello:
        """Raises LinkLost where no session is open, or the lock is not held."""
        if self._hello is None or not self._locked:
            raise LinkLost(f"{self.device.name}: no session is open; open the device first")
        return self._hello

    def cancel(self) -> None:
        """End the order that runs, soon."""
        self.cancelled.set()
        self._link.cancel()

    def close(self) -> None:
        """End the session and whatever it started; nothing stays behind."""
        if self._locked:
            with contextlib.suppress(LinkError, DeviceError):  # while the lock is ours; else the next opening does it
                self.access.surroundings.restore()
        self._link.stop()
        self._drop()
        self.access.transport.close()

    def run_tool(self, words: Sequence[str], timeout_s: float) -> Completed:
        """Run a native tool to its end.  Raises LinkError, ReplyTimeout."""
        return Completed(-9, b"", "cancelled") if self.cancelled.is_set() else self._link.run(words, timeout_s)

    def measured_cpus(self, tasks: Sequence[Task]) -> Sequence[int]:
        """The cores that measure.  Raises NotReady, SpecError."""
        return measured_cpus(self.profile, self.opened_hello(), tasks, self.device.name)

    def fingerprint(self, task: Task, slicing: Slicing | None) -> Mapping[str, str]:
        """Of a run, or, without a slicing, of a probe."""
        conditions = task.measurement.conditions
        setting = self.profile.setting(cluster=conditions.cluster or None, fixed=conditions.clocks == "fixed")
        workload, backend = task.measurement.workload, task.measurement.backend
        return fingerprint(self.opened_hello(), backend, slicing, setting, inputs=workload.fed, space=added_by(workload))

    @contextlib.contextmanager
    def dropping(self) -> Generator[None]:
        """A session that broke, or that said what it must not, is ended: the next order opens another."""
        try:
            yield
        except (LinkError, DeviceError, RunnerBug) as error:
            self._drop(error)
            raise

    def _drop(self, error: FarmError | None = None) -> None:
        """The transport is told why: over a link that fell silent it need not try to tidy up."""
        self._hello, self._locked = None, False
        self._link.forget()
        opened, self._opened = self._opened, ExitStack()
        opened.__exit__(type(error) if error else None, error, error.__traceback__ if error else None)
