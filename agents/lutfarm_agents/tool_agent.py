"""ToolAgent: owns one device that has no Python, and measures there with native tools alone."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from lutfarm_agents.conditions.cpu_clocks import Clocks
from lutfarm_agents.conditions.measured_cores import measured_cpus
from lutfarm_agents.conditions.power import Power
from lutfarm_agents.conditions.thermal import Climate, seen_by
from lutfarm_agents.device import Claim, Device, Hello
from lutfarm_agents.device_lock.shell_lock import ShellLock, argv
from lutfarm_agents.discovery.shell_hello import greet
from lutfarm_agents.fingerprint import fingerprint
from lutfarm_agents.interface import Advance
from lutfarm_agents.native_tools import TOOLS
from lutfarm_agents.native_tools.invocation import ToolSession
from lutfarm_agents.native_tools.tool_rounds import ToolRounds
from lutfarm_agents.provisioning.model_cache import ModelCache
from lutfarm_agents.transports.interface import Completed, Transport
from lutfarm_agents.transports.registry import open_transport, root_of
from lutfarm_jobs.errors import DeviceError, FarmError, LinkError, LinkLost, NotReady
from lutfarm_jobs.round import Limits, Round, SlicePlan, Task
from lutfarm_jobs.run import Probe, Run
from lutfarm_profiles import loader

T = TypeVar("T")


class ToolAgent:
    """An agent that needs nothing on the device but a shell and the tools."""

    def __init__(self, device: Device, *, state_dir: Path, transport: Transport | None = None) -> None:
        self.device = device
        self.profile = loader.load(device.profile)
        self.spent_ns: Mapping[str, int] = {}
        self._root = root_of(device, state_dir)
        self._transport: Transport = transport or open_transport(device, state_dir)
        self._opened = contextlib.ExitStack()
        self._holder: ShellLock | None = None  # once the lock is ours
        self._hello: Hello | None = None
        self._model_cache = ModelCache(self._transport, f"{self._root}/models")
        self._clocks = Clocks(self._transport, self._root, self.profile, device.name)
        self._tools = ToolSession(device, self._transport, self._run)
        self._climate = Climate(self._transport, self.profile.thermal)
        self._rounds = ToolRounds(
            self._tools,
            self._model_cache,
            self._transport,
            self._root,
            self._climate,
            Power(self._transport, self.profile.power_sensor),
        )
        self._cancelled = threading.Event()

    @property
    def ready(self) -> bool:
        """Whether the device's lock is held."""
        return self._holder is not None

    def prepare(self, claim: Claim) -> Iterator[str]:
        """Say hello and take the lock; yields who has it while it waits."""
        self._cancelled.clear()
        return self._prepare(claim)

    def _prepare(self, claim: Claim) -> Iterator[str]:
        began_ns = time.monotonic_ns()
        self.spent_ns = {}
        self._drop()
        self._transport.reap()
        with self._dropping():
            path = self.profile.lock_path
            channel = self._opened.enter_context(self._transport.spawn(argv(path), env={}))
            holder = self._opened.enter_context(contextlib.closing(ShellLock(channel, self._transport, self.device.name, path)))
            self._model_cache.forget()
            self._hello = self._greet()
            self.spent_ns = {"other": time.monotonic_ns() - began_ns}  # waiting for others is no use of the device
            yield from holder.take(claim, self._cancelled)
            if self._cancelled.is_set():
                self._drop()
                return
            self._holder = holder
            self._clocks.restore()  # an earlier session may have died before it could

    def hello(self) -> Hello:
        """What the device says of itself.  Takes no lock."""
        if self._hello is None:
            self._transport.reap()
        return self._hello or self._greet()

    def _greet(self) -> Hello:
        hello = greet(self._transport, self._root, self.device.name)
        return replace(
            hello,
            runtimes=self._tools.versions(),
            remarks=self._transport.remarks,
            environment=seen_by(hello.environment, self._climate.read()),
        )

    def probe(self, tasks: Sequence[Task], *, limits: Limits, models: Mapping[str, Path]) -> Iterator[Probe]:
        """One short invocation for each task."""
        self._cancelled.clear()
        return self._timed(self._probe(tasks, limits, models))

    def _probe(self, tasks: Sequence[Task], limits: Limits, models: Mapping[str, Path]) -> Iterator[Probe]:
        hello = self._checked(tasks)
        self._model_cache.fill([task.artifact for task in tasks], models)
        with self._dropping():
            for task in tasks:
                cpus = measured_cpus(self.profile, hello, [task], self.device.name)
                found = self._tools.probe(
                    task, self._model_cache.place(task.artifact), limits, cpus, self._fingerprint(hello, task, None)
                )
                if self._cancelled.is_set():  # it was ended, so what it said is no result
                    return
                yield found

    def measure(self, round: Round, *, models: Mapping[str, Path]) -> Iterator[Run | Advance]:
        """One invocation for each task; what was measured before a link broke has arrived already."""
        self._cancelled.clear()
        return self._timed(self._measure(round, models))

    def _measure(self, round_: Round, models: Mapping[str, Path]) -> Iterator[Run | Advance]:
        hello = self._checked(round_.tasks)
        self._model_cache.fill([task.artifact for task in round_.tasks], models)
        cpus = measured_cpus(self.profile, hello, round_.tasks, self.device.name)
        with self._dropping():
            if round_.tasks[0].measurement.conditions.clocks == "fixed":
                self._clocks.fix(cpus)
            else:
                self._clocks.restore()
            yield from self._rounds.measure(
                round_, cpus, lambda task: self._fingerprint(hello, task, round_.plan), self._cancelled
            )

    def cancel(self) -> None:
        """End the order that runs, and the tool."""
        self._cancelled.set()
        if (holder := self._holder) is not None:
            holder.end_tool()

    def close(self) -> None:
        """Give the lock back; nothing stays behind."""
        if self._holder is not None:
            with contextlib.suppress(LinkError, DeviceError):  # while the lock is ours; else the next opening does it
                self._clocks.restore()
        self._drop()
        self._transport.close()

    def _run(self, words: Sequence[str], timeout_s: float) -> Completed:
        if self._holder is None:
            raise LinkLost(f"{self.device.name}: no session is open; open the device first")
        if self._cancelled.is_set():
            return Completed(-9, b"", "cancelled")
        return self._holder.run(words, timeout_s)

    def _fingerprint(self, hello: Hello, task: Task, plan: SlicePlan | None) -> Mapping[str, str]:
        conditions = task.measurement.conditions
        setting = self.profile.setting(cluster=conditions.cluster or None, fixed=conditions.clocks == "fixed")
        return fingerprint(hello, task.measurement.backend, plan, setting, inputs=task.measurement.workload.fed)

    def _checked(self, tasks: Sequence[Task]) -> Hello:
        """The hello of the open session.  Raises LinkLost where none is, NotReady for what no tool measures."""
        if self._holder is None or self._hello is None:
            raise LinkLost(f"{self.device.name}: no session is open; open the device first")
        for runtime in sorted({task.measurement.backend.runtime for task in tasks}):
            if runtime not in TOOLS:
                raise NotReady(f"{self.device.name}: {runtime} needs Python there; it is registered for native tools only")
            self._tools.binary(runtime)
        return self._hello

    def _timed(self, steps: Iterator[T]) -> Iterator[T]:
        began_ns = time.monotonic_ns()
        self.spent_ns = {}
        try:
            yield from steps
        finally:
            self.spent_ns = {"other": time.monotonic_ns() - began_ns}

    @contextlib.contextmanager
    def _dropping(self) -> Generator[None]:
        """A session that broke is ended: the next order opens another."""
        try:
            yield
        except (LinkError, DeviceError) as error:
            self._drop(error)
            raise

    def _drop(self, error: FarmError | None = None) -> None:
        self._holder, self._hello = None, None
        opened, self._opened = self._opened, contextlib.ExitStack()
        opened.__exit__(type(error) if error else None, error, error.__traceback__ if error else None)
