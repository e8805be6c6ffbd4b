"""DeviceAgent: owns one device and runs one order at a time on it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lutfarm_agents import commands, payload
from lutfarm_agents.device import Device, Hello
from lutfarm_agents.messages import DiedEvent, ProbedEvent, SliceEvent
from lutfarm_agents.rounds import RoundLog
from lutfarm_agents.session import Claim, RunnerSession, fingerprint, runtime_version
from lutfarm_agents.transports.base import Transport
from lutfarm_agents.transports.local import LocalTransport
from lutfarm_jobs.errors import (
    LinkError,
    LinkLost,
    NotReady,
    ProtocolMismatch,
    SpecError,
    TransferFailed,
)
from lutfarm_jobs.measurement import Artifact, Failure, Limits, Probe, Round, Run, Task
from lutfarm_profiles import loader

RUNNER_ENVIRONMENT: Mapping[str, str] = {"ORT_DISABLE_TELEMETRY": "1", "PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True, slots=True)
class Advance:
    """So many slices of the round's expected total have arrived."""

    done: int
    total: int


class Agent(Protocol):
    """Owns one device; one order at a time.

    `prepare`, `probe` and `measure` return at once; their work happens while what they return is iterated.
    `cancel` ends the order that was returned last, from any thread, and is no error when none runs.
    """

    @property
    def ready(self) -> bool:
        """Whether the session is open and the device's lock held."""
        ...

    @property
    def spent_ns(self) -> Mapping[str, int]:
        """Where the last order's device time went: see lutfarm.pool.Done."""
        ...

    def prepare(self, claim: Claim) -> Iterator[str]:
        """Open the session and take the lock; yields who has it while it waits.  Not ready afterwards: cancelled."""
        ...

    def hello(self) -> Hello:
        """What the device says of itself, from the open session or a short one without the lock."""
        ...

    def probe(self, tasks: Sequence[Task], *, limits: Limits, models: Mapping[str, Path]) -> Iterator[Probe]:
        """One throwaway child for each task; `models` says where artifacts lie on the host, by SHA-256."""
        ...

    def measure(self, round: Round, *, models: Mapping[str, Path]) -> Iterator[Run | Advance]:
        """One round.  The runs come at its end, or as truncated ones before an error is raised."""
        ...

    def cancel(self) -> None:
        """End the order that runs, soon."""
        ...

    def close(self) -> None:
        """End the session and whatever it started."""
        ...


class DeviceAgent:
    """An agent that speaks with our runner.

    `cpus`: the host's cores that a local device's processes may use; None for those of this process.
    """

    def __init__(self, device: Device, *, state_dir: Path, cpus: frozenset[int] | None = None) -> None:
        self.device = device
        self.profile = loader.load(device.profile)
        self.pushed = 0                            # models copied to the device by this agent
        self.spent_ns: Mapping[str, int] = {}
        self._root = state_dir.absolute() / "devices" / device.name
        self._packed = state_dir.absolute() / "runner"
        self._transport: Transport = _transport(device, self._root, cpus)
        self._opened = contextlib.ExitStack()
        self._session: RunnerSession | None = None
        self._hello: Hello | None = None
        self._present: set[str] = set()
        self._cancelled = threading.Event()
        self._locked = False

    @property
    def ready(self) -> bool:
        """Whether the session is open and the device's lock held."""
        return self._session is not None and self._locked

    def prepare(self, claim: Claim) -> Iterator[str]:
        """Open the session and take the lock; yields who has it while it waits."""
        self._cancelled.clear()
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
        if not self._locked:
            self._drop()

    def hello(self) -> Hello:
        """What the device says of itself.  Takes no lock."""
        if self._hello is not None:
            return self._hello
        with self._dropping():
            self._open()
        hello = self._opened_hello
        self._drop()
        return hello

    def probe(self, tasks: Sequence[Task], *, limits: Limits, models: Mapping[str, Path]) -> Iterator[Probe]:
        """One throwaway child for each task."""
        self._cancelled.clear()
        return self._probe(tasks, limits, models)

    def _probe(self, tasks: Sequence[Task], limits: Limits, models: Mapping[str, Path]) -> Iterator[Probe]:
        began_ns = time.monotonic_ns()
        self.spent_ns = {}
        session = self._checked(tasks)
        transfer_ns = self._push_all([task.artifact for task in tasks], models)
        cpus = self._measured_cpus(tasks)
        load_ns = 0
        try:
            with self._dropping():
                for batch, workloads in commands.probe_batches(tasks, self._place):
                    for probe in self._probe_batch(session, batch, workloads, limits, cpus):
                        load_ns += probe.load_ns or 0
                        yield probe
        finally:
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
                    raise NotReady(f"{self.device.name}: the runtime can't be started: {event.code}: {event.detail}")
                if asked[event.id] in left:
                    left.remove(asked[event.id])
                    yield self._as_probe(batch[asked[event.id]], event)
            if session.cancelled:
                return
            if left == asked:
                raise ProtocolMismatch(f"{self.device.name} ended a probe without an answer")

    def _as_probe(self, task: Task, event: ProbedEvent | DiedEvent) -> Probe:
        # The fingerprint names the plan so that probes and runs are told apart alike; probes use the standard one.
        measurement = task.measurement
        found = event if isinstance(event, ProbedEvent) else ProbedEvent(event.id or 0)
        return Probe(
            key=measurement.key,
            unit=measurement.unit,
            fingerprint=fingerprint(self._opened_hello, measurement.backend, None),
            probed_s=time.time(),
            failure=Failure(event.code, event.detail) if event.code else None,
            load_ns=found.load_ns,
            first_inference_ns=found.first_inference_ns,
            iteration_ns=found.iteration_ns,
            peak_memory_bytes=found.peak_memory_bytes,
            model_memory_bytes=found.model_memory_bytes,
            agreement=found.agreement,
        )
