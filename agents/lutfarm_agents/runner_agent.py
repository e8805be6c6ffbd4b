"""DeviceAgent: owns one device and measures there with our runner, one order at a time; with native tools where asked for."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lutfarm_agents.device import Device
from lutfarm_agents.device_access import DeviceAccess
from lutfarm_agents.device_session import DeviceSession
from lutfarm_agents.factory import AgentKind
from lutfarm_agents.fingerprint import runtime_version
from lutfarm_agents.interface import Advance
from lutfarm_agents.native_tools.invocation import binary
from lutfarm_agents.native_tools.tool_rounds import ToolMeasurer
from lutfarm_agents.transports.interface import Transport
from lutfarm_agents.wire import commands
from lutfarm_agents.wire.events import SliceEvent
from lutfarm_agents.wire.probe_log import probe_of, probed
from lutfarm_agents.wire.round_log import RoundLog
from lutfarm_agents.wire.runner_link import RunnerLink
from lutfarm_agents.wire.session import RunnerSession
from lutfarm_jobs.errors import DeviceError, FarmError, LinkError, LinkLost, NotReady, ProtocolMismatch, RunnerBug
from lutfarm_jobs.round import Limits, Round, Task
from lutfarm_jobs.run import Probe, Run
from lutfarm_jobs.runtimes import RUNTIMES, is_tool, packages_of

IDLE_S = 2.0  # after so long without a round clocks and heat have fallen


class DeviceAgent(DeviceSession):
    """An agent that speaks with our runner.  `cpus`, `transport`: see DeviceAccess.to."""

    def __init__(
        self, device: Device, *, state_dir: Path, cpus: frozenset[int] | None = None, transport: Transport | None = None
    ) -> None:
        access = DeviceAccess.to(device, state_dir, cpus=cpus, transport=transport)
        self._runner = RunnerLink(access, state_dir.absolute() / "runner")
        super().__init__(access, self._runner)
        self._tools = ToolMeasurer(self)
        self._worked_s = -math.inf  # on time.monotonic: when its last order ended

    def probe(self, tasks: Sequence[Task], *, limits: Limits, models: Mapping[str, Path]) -> Iterator[Probe]:
        """One throwaway child for each task."""
        self.cancelled.clear()
        return self._probe(tasks, limits, models)

    def _probe(self, tasks: Sequence[Task], limits: Limits, models: Mapping[str, Path]) -> Iterator[Probe]:
        began_ns = time.monotonic_ns()
        self.spent_ns = {}
        self._check(tasks)
        transfer_ns = self.access.model_cache.fill([one for task in tasks for one in task.artifacts], models)
        load_ns = 0
        tools = [task for task in tasks if is_tool(task.measurement.backend.runtime)]
        ours = [task for task in tasks if not is_tool(task.measurement.backend.runtime)]
        try:
            with self.dropping():
                yield from self._tools.probe(tools, limits)
                for probe in self._probe_ours(ours, limits):
                    load_ns += probe.load_ns or 0
                    yield probe
        finally:
            self._worked_s = time.monotonic()
            self.spent_ns = _split(time.monotonic_ns() - began_ns, {"transfer": transfer_ns, "load": load_ns})

    def _probe_ours(self, tasks: Sequence[Task], limits: Limits) -> Iterator[Probe]:
        cpus = self.measured_cpus(tasks) if tasks else ()
        asked = commands.limits(limits)
        for batch, workloads in commands.probe_batches(tasks, self.access.model_cache.place):
            if self.cancelled.is_set():
                return
            found = probed(self._runner.session, workloads, self.cancelled, limits=asked, cpus=cpus, device=self.device.name)
            for position, event in found:
                yield probe_of(batch[position], event, self.fingerprint(batch[position], None))

    def measure(self, round: Round, *, models: Mapping[str, Path]) -> Iterator[Run | Advance]:
        """One round.  A link that breaks in mid-round yields truncated runs first, then raises."""
        self.cancelled.clear()
        return self._measure(round, models)

    def _measure(self, round_: Round, models: Mapping[str, Path]) -> Iterator[Run | Advance]:
        began_ns, started_s = time.monotonic_ns(), time.time()
        self.spent_ns = {}
        self._check(round_.tasks)
        artifacts = [round_.canary, *(one for task in round_.tasks for one in task.artifacts)]
        transfer_ns = self.access.model_cache.fill(artifacts, models)
        cpus = self.measured_cpus(round_.tasks)
        if is_tool(round_.tasks[0].measurement.backend.runtime):
            with self.dropping():
                yield from self._tools.measure(round_, cpus)
            self.spent_ns = _split(time.monotonic_ns() - began_ns, {"transfer": transfer_ns})
            return
        log = RoundLog(round_, [self.fingerprint(task, round_.slicing) for task in round_.tasks], started_s)
        failure: FarmError | None = None
        try:
            with self.dropping():
                yield from self._follow(log, cpus)
        except (LinkError, DeviceError, RunnerBug) as error:
            failure = error
        self.spent_ns = _split(time.monotonic_ns() - began_ns, {"transfer": transfer_ns, **log.spent_ns()})
        yield from log.runs(time.time())
        if failure is not None:
            raise failure
        if log.unblamed:
            raise LinkLost(f"{self.device.name}: the round's process ended and no workload is to blame: {log.unblamed}")
        if log.ending is None and not self.cancelled.is_set():
            raise ProtocolMismatch(f"{self.device.name} ended a round without a result")

    def _follow(self, log: RoundLog, cpus: Sequence[int]) -> Iterator[Advance]:
        """Between two looks at what it measures under, which are its neighbours in time."""
        surroundings = self.access.surroundings
        idle = time.monotonic() - self._worked_s > IDLE_S
        surroundings.set_for(log.round.tasks[0].measurement.conditions, cpus)
        command = commands.round_(log.round, cpus=cpus, place=self.access.model_cache.place, idle=idle)
        log.before = surroundings.before()
        if self.cancelled.is_set():
            return
        yield from follow(self._runner.session, command, log, self.cancelled)
        self._worked_s = time.monotonic()
        log.after = surroundings.after()
        log.throttled = surroundings.throttled(log.before, log.after)

    def _check(self, tasks: Sequence[Task]) -> None:
        """Raises LinkLost where no session is open, NotReady where a runtime is missing."""
        hello = self.opened_hello()
        for runtime in sorted({task.measurement.backend.runtime for task in tasks}):
            if is_tool(runtime):
                binary(self.device, runtime)
            elif runtime in RUNTIMES and not runtime_version(hello, runtime):
                wanted = " or ".join(packages_of(runtime))
                raise NotReady(
                    f"{self.device.name}: its {hello.python} has no {wanted}; install it there, "
                    f"or register a phone or board again with --bundle {runtime}"
                )


def follow(session: RunnerSession, command: Mapping[str, object], log: RoundLog, cancelled: threading.Event) -> Iterator[Advance]:
    """A round from its command to its last event, into the log."""
    slicing = log.round.slicing
    for event in session.round(command, known=len(log.round.tasks), passes=slicing.passes, tries=slicing.long_tries):
        if cancelled.is_set():  # it came before the runner had begun, which then knew of nothing to end
            session.cancel()
        log.take(event)
        if isinstance(event, SliceEvent):
            yield Advance(log.arrived, log.total)


def _split(whole_ns: int, parts: Mapping[str, int]) -> Mapping[str, int]:
    """The parts, and what they leave of the whole as `other`."""
    named = {name: value for name, value in parts.items() if name != "other" and value}
    return {**named, "other": max(0, whole_ns - sum(named.values()))}


def _make(device: Device, *, state_dir: Path, cpus: frozenset[int] | None) -> DeviceAgent:
    return DeviceAgent(device, state_dir=state_dir, cpus=cpus)


KIND = AgentKind(lambda device: not device.tools_only, _make)
