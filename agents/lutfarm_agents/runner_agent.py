"""DeviceAgent: owns one device and runs one order at a time on it."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lutfarm_agents.conditions.cpu_clocks import Clocks
from lutfarm_agents.conditions.measured_cores import measured_cpus
from lutfarm_agents.conditions.power import Power
from lutfarm_agents.conditions.thermal import Climate, seen_by
from lutfarm_agents.device import Claim, Device, Hello
from lutfarm_agents.device_lock import shell_lock as holding
from lutfarm_agents.device_lock.locked_tool import Beside
from lutfarm_agents.fingerprint import DISTRIBUTIONS, fingerprint, runtime_version
from lutfarm_agents.interface import Advance
from lutfarm_agents.native_tools import TOOLS
from lutfarm_agents.native_tools.invocation import ToolSession
from lutfarm_agents.native_tools.tool_rounds import ToolRounds
from lutfarm_agents.provisioning import runner_zipapp
from lutfarm_agents.provisioning.model_cache import ModelCache
from lutfarm_agents.provisioning.python import python_on
from lutfarm_agents.transports.interface import Completed, Transport
from lutfarm_agents.transports.registry import open_transport, root_of
from lutfarm_agents.wire import commands
from lutfarm_agents.wire.events import DiedEvent, ProbedEvent, SliceEvent
from lutfarm_agents.wire.round_log import RoundLog
from lutfarm_agents.wire.session import RunnerSession, greeted
from lutfarm_jobs.errors import DeviceError, FarmError, LinkError, LinkLost, NotReady, ProtocolMismatch, RunnerBug
from lutfarm_jobs.measurement import Conditions
from lutfarm_jobs.round import Limits, Round, SlicePlan, Task
from lutfarm_jobs.run import Failure, Probe, Run
from lutfarm_profiles import loader

IDLE_S = 2.0  # after so long without a round clocks and heat have fallen
RUNNER_ENVIRONMENT: Mapping[str, str] = {"ORT_DISABLE_TELEMETRY": "1", "PYTHONUNBUFFERED": "1"}


class DeviceAgent:
    """An agent that speaks with our runner.

    `cpus`: the host's cores that a local device's processes may use; None for those of this process.
    `transport`: another way to reach the device than the one it is registered with.
    """

    def __init__(
        self, device: Device, *, state_dir: Path, cpus: frozenset[int] | None = None, transport: Transport | None = None
    ) -> None:
        self.device = device
        self.profile = loader.load(device.profile)
        self.spent_ns: Mapping[str, int] = {}
        self._root = root_of(device, state_dir)
        self._packed = state_dir.absolute() / "runner"
        self._transport: Transport = transport or open_transport(device, state_dir, cpus=cpus)
        self._opened = contextlib.ExitStack()
        self._session: RunnerSession | None = None
        self._hello: Hello | None = None
        self._model_cache = ModelCache(self._transport, f"{self._root}/models")
        self._climate = Climate(self._transport, self.profile.thermal)
        self._power = Power(self._transport, self.profile.power_sensor)
        self._worked_s = -math.inf  # on time.monotonic: when its last order ended
        self._tools = ToolSession(device, self._transport, self._run_tool)
        self._rounds = ToolRounds(self._tools, self._model_cache, self._transport, self._root, self._climate, self._power)
        self._clocks = Clocks(self._transport, self._root, self.profile, device.name)
        self._cancelled = threading.Event()
        self._locked = False
        self._claim: Claim | None = None
        self._beside: Beside | None = None  # once a tool has run

    @property
    def pushed(self) -> int:
        """How many model files this agent copied to the device."""
        return self._model_cache.pushed

    @property
    def ready(self) -> bool:
        """Whether the session is open and the device's lock held."""
        return self._session is not None and self._locked

    def prepare(self, claim: Claim) -> Iterator[str]:
        """Open the session and take the lock; yields who has it while it waits."""
        self._cancelled.clear()
        self._claim = claim
        return self._prepare(claim)

    def _prepare(self, claim: Claim) -> Iterator[str]:
        began_ns = time.monotonic_ns()
        self.spent_ns = {}
        self._drop()
        self._transport.reap()
        with self._dropping():
            session = self._open()
            self.spent_ns = {"other": time.monotonic_ns() - began_ns}
            if not self._cancelled.is_set():
                yield from session.lock(claim, self.profile.lock_path)
                self._locked = not session.cancelled
                if self._locked:
                    self._clocks.restore()  # an earlier session may have died before it could
        if not self._locked:
            self._drop()

    def hello(self) -> Hello:
        """What the device says of itself.  Takes no lock."""
        if self._hello is not None:
            return replace(self._hello, remarks=self._transport.remarks)
        with self._dropping():
            self._transport.reap()
            self._open()
        hello = self._opened_hello
        self._drop()
        return replace(hello, remarks=self._transport.remarks)

    def probe(self, tasks: Sequence[Task], *, limits: Limits, models: Mapping[str, Path]) -> Iterator[Probe]:
        """One throwaway child for each task."""
        self._cancelled.clear()
        return self._probe(tasks, limits, models)

    def _probe(self, tasks: Sequence[Task], limits: Limits, models: Mapping[str, Path]) -> Iterator[Probe]:
        began_ns = time.monotonic_ns()
        self.spent_ns = {}
        session = self._checked(tasks)
        transfer_ns = self._model_cache.fill([one for task in tasks for one in task.artifacts], models)
        load_ns = 0
        tools = [task for task in tasks if task.measurement.backend.runtime in TOOLS]
        ours = [task for task in tasks if task.measurement.backend.runtime not in TOOLS]
        try:
            with self._dropping():
                for task in tools:
                    if self._cancelled.is_set():
                        return
                    probe = self._tools.probe(
                        task,
                        self._model_cache.place(task.artifact),
                        limits,
                        self._measured_cpus([task]),
                        self._fingerprint(task, None),
                    )
                    if not self._cancelled.is_set():  # else it was ended, and what it said is no result
                        yield probe
                cpus = self._measured_cpus(ours) if ours else ()
                for batch, workloads in commands.probe_batches(ours, self._model_cache.place):
                    for probe in self._probe_batch(session, batch, workloads, limits, cpus):
                        load_ns += probe.load_ns or 0
                        yield probe
        finally:
            self._worked_s = time.monotonic()
            whole_ns = time.monotonic_ns() - began_ns
            self.spent_ns = _split(whole_ns, {"transfer": transfer_ns, "load": load_ns})

    def _probe_batch(
        self,
        session: RunnerSession,
        batch: Sequence[Task],
        workloads: Sequence[Mapping[str, object]],
        limits: Limits,
        cpus: Sequence[int],
    ) -> Iterator[Probe]:
        """All of one batch; a template that died is started again for those that are left."""
        left = list(range(len(batch)))
        while left and not self._cancelled.is_set():
            asked = list(left)
            again = [{**workloads[position], "id": index} for index, position in enumerate(asked)]
            for event in session.probe(again, limits=commands.limits(limits), cpus=cpus):
                if event.id is None:
                    why = f"{event.code}: {event.detail}"
                    raise NotReady(f"{self.device.name}: the runtime can't be started: {why}")
                if asked[event.id] in left:
                    left.remove(asked[event.id])
                    yield self._as_probe(batch[asked[event.id]], event)
            if session.cancelled:
                return
            if left == asked:
                raise ProtocolMismatch(f"{self.device.name} ended a probe without an answer")

    def _as_probe(self, task: Task, event: ProbedEvent | DiedEvent) -> Probe:
        measurement = task.measurement
        found = event if isinstance(event, ProbedEvent) else ProbedEvent(event.id or 0)
        return Probe(
            key=measurement.key,
            unit=measurement.unit,
            fingerprint=self._fingerprint(task, None),
            probed_s=time.time(),
            failure=Failure(event.code, event.detail) if event.code else None,
            load_ns=found.load_ns,
            first_inference_ns=found.first_inference_ns,
            iteration_ns=found.iteration_ns,
            peak_memory_bytes=found.peak_memory_bytes,
            model_memory_bytes=found.model_memory_bytes,
            agreement=found.agreement,
            call_floor_ns=found.floor_ns,
            notes=found.notes,
        )

    def measure(self, round: Round, *, models: Mapping[str, Path]) -> Iterator[Run | Advance]:
        """One round.  A link that breaks in mid-round yields truncated runs first, then raises."""
        self._cancelled.clear()
        return self._measure(round, models)

    def _measure(self, round_: Round, models: Mapping[str, Path]) -> Iterator[Run | Advance]:
        began_ns, started_s = time.monotonic_ns(), time.time()
        self.spent_ns = {}
        session = self._checked(round_.tasks)
        artifacts = [round_.canary, *(one for task in round_.tasks for one in task.artifacts)]
        transfer_ns = self._model_cache.fill(artifacts, models)
        cpus = self._measured_cpus(round_.tasks)
        if round_.tasks[0].measurement.backend.runtime in TOOLS:
            yield from self._measure_with_tool(round_, cpus)
            self.spent_ns = _split(time.monotonic_ns() - began_ns, {"transfer": transfer_ns})
            return
        log = RoundLog(round_, [self._fingerprint(task, round_.plan) for task in round_.tasks], started_s)
        idle = time.monotonic() - self._worked_s > IDLE_S
        command = commands.round_(round_, cpus=cpus, place=self._model_cache.place, idle=idle)
        failure: FarmError | None = None
        try:
            with self._dropping():
                self._set_clocks(round_.tasks[0].measurement.conditions, cpus)
                log.climate_before, log.power_before_w = self._climate.read(), self._power.read_w()
                if not self._cancelled.is_set():
                    yield from self._follow(session, command, log)
                    self._worked_s = time.monotonic()
                    log.power_after_w = self._power.read_w()
                    log.climate_after = self._climate.read()
                    log.throttled = self._climate.throttled(log.climate_before, log.climate_after)
        except (LinkError, DeviceError, RunnerBug) as error:
            failure = error
        self.spent_ns = _split(time.monotonic_ns() - began_ns, {"transfer": transfer_ns, **log.spent_ns()})
        yield from log.runs(time.time())
        if failure is not None:
            raise failure
        if log.unblamed:
            raise LinkLost(f"{self.device.name}: the round's process ended and no workload is to blame: {log.unblamed}")
        if log.ending is None and not self._cancelled.is_set():
            raise ProtocolMismatch(f"{self.device.name} ended a round without a result")

    def _measure_with_tool(self, round_: Round, cpus: Sequence[int]) -> Iterator[Run | Advance]:
        """One invocation for each; what was measured before a link broke has arrived already."""
        with self._dropping():
            self._set_clocks(round_.tasks[0].measurement.conditions, cpus)
            yield from self._rounds.measure(round_, cpus, lambda task: self._fingerprint(task, round_.plan), self._cancelled)

    def _run_tool(self, words: Sequence[str], timeout_s: float) -> Completed:
        if self._cancelled.is_set():
            return Completed(-9, b"", "cancelled")
        if self._beside is None:
            self._beside = self._share_lock()
        return self._beside.run(words, timeout_s)

    def _share_lock(self) -> Beside:
        """Raises LinkLost where the lock is somebody else's by now."""
        if self._session is None or self._claim is None:
            raise LinkLost(f"{self.device.name}: no session is open; open the device first")
        path = self.profile.lock_path
        channel = self._opened.enter_context(self._transport.spawn(holding.argv(path), env={}))
        holder = self._opened.enter_context(
            contextlib.closing(holding.ShellLock(channel, self._transport, self.device.name, path))
        )
        for who in holder.take(self._claim, threading.Event()):
            raise LinkLost(f"{self.device.name}: its lock passed to {who}")
        return Beside(self._session, holder)

    def _fingerprint(self, task: Task, plan: SlicePlan | None) -> Mapping[str, str]:
        conditions = task.measurement.conditions
        setting = self.profile.setting(cluster=conditions.cluster or None, fixed=conditions.clocks == "fixed")
        inputs = task.measurement.workload.fed
        return fingerprint(self._opened_hello, task.measurement.backend, plan, setting, inputs=inputs)

    def _set_clocks(self, conditions: Conditions, cpus: Sequence[int]) -> None:
        if conditions.clocks == "fixed":
            self._clocks.fix(cpus)
        else:
            self._clocks.restore()

    def _follow(self, session: RunnerSession, command: Mapping[str, object], log: RoundLog) -> Iterator[Advance]:
        plan = log.round.plan
        for event in session.round(command, known=len(log.round.tasks), passes=plan.passes, tries=plan.long_tries):
            if self._cancelled.is_set():  # it came before the runner had begun, which then knew of nothing to end
                session.cancel()
            log.take(event)
            if isinstance(event, SliceEvent):
                yield Advance(log.arrived, log.total)

    def cancel(self) -> None:
        """End the order that runs, soon."""
        self._cancelled.set()
        session, beside = self._session, self._beside
        if beside is not None:
            beside.holder.end_tool()
        if session is not None:
            with contextlib.suppress(LinkError):
                session.cancel()

    def close(self) -> None:
        """End the session and whatever it started."""
        if self._locked:
            with contextlib.suppress(LinkError, DeviceError):  # while the lock is ours; else the next opening does it
                self._clocks.restore()
        if self._session is not None:
            self._session.stop()
        self._drop()
        self._transport.close()

    @property
    def _opened_hello(self) -> Hello:
        if self._hello is None:
            raise LinkLost(f"{self.device.name}: no session is open; open the device first")
        return self._hello

    def _open(self) -> RunnerSession:
        """Push the runner, start it, hear its hello."""
        path, sha256 = runner_zipapp.runner_zipapp(self._packed)
        remote = f"{self._root}/runner/{sha256}.pyz"
        if not self._transport.exists(remote):
            self._transport.put(path, remote)
        python = python_on(self.device, self._transport, self._root)
        channel = self._opened.enter_context(
            self._transport.spawn([*python.argv, "-I", remote, "supervise"], env={**RUNNER_ENVIRONMENT, **python.env})
        )
        self._model_cache.forget()  # another boot may have emptied the folder
        session = RunnerSession(channel)
        self._hello = greeted(session, channel, self.device.name, python.argv[-1])
        if tools := self._tools.versions():
            self._hello = replace(self._hello, runtimes={**self._hello.runtimes, **tools})
        if self._hello.runner_sha256 != sha256:
            other = self._hello.runner_sha256[:12]
            raise ProtocolMismatch(f"{self.device.name} runs the runner {other}, not {sha256[:12]}")
        self._hello = replace(self._hello, environment=seen_by(self._hello.environment, self._climate.read()))
        self._session = session
        return session

    @contextlib.contextmanager
    def _dropping(self) -> Generator[None]:
        """A session that broke, or that said what it must not, is ended: the next order opens another."""
        try:
            yield
        except (LinkError, DeviceError, RunnerBug) as error:
            self._drop(error)
            raise

    def _drop(self, error: FarmError | None = None) -> None:
        """The transport is told why: over a link that fell silent it need not try to tidy up."""
        self._session, self._hello, self._locked, self._beside = None, None, False, None
        opened, self._opened = self._opened, contextlib.ExitStack()
        opened.__exit__(type(error) if error else None, error, error.__traceback__ if error else None)

    def _checked(self, tasks: Sequence[Task]) -> RunnerSession:
        """The open session.  Raises LinkLost where none is, NotReady where a runtime is missing."""
        hello = self._opened_hello
        if self._session is None or not self._locked:
            raise LinkLost(f"{self.device.name}: no session is open; open the device first")
        for runtime in sorted({task.measurement.backend.runtime for task in tasks} & TOOLS.keys()):
            self._tools.binary(runtime)
        for runtime in sorted({task.measurement.backend.runtime for task in tasks} & DISTRIBUTIONS.keys()):
            if not runtime_version(hello, runtime):
                wanted = " or ".join(DISTRIBUTIONS[runtime])
                raise NotReady(
                    f"{self.device.name}: its {hello.python} has no {wanted}; install it there, "
                    f"or register a phone or board again with --bundle {runtime}"
                )
        return self._session

    def _measured_cpus(self, tasks: Sequence[Task]) -> Sequence[int]:
        return measured_cpus(self.profile, self._opened_hello, tasks, self.device.name)


def _split(whole_ns: int, parts: Mapping[str, int]) -> Mapping[str, int]:
    """The parts, and what they leave of the whole as `other`."""
    named = {name: value for name, value in parts.items() if name != "other" and value}
    return {**named, "other": max(0, whole_ns - sum(named.values()))}
