"""Fakes for whoever tests a farm: agents that follow a script instead of a device.

A script is a value, so that it reaches an agent in another process unchanged.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lutfarm_agents.device import Claim, Device, Hello
from lutfarm_agents.fingerprint import fingerprint
from lutfarm_agents.interface import Advance, Agent
from lutfarm_agents.runner_agent import DeviceAgent
from lutfarm_agents.transports.interface import Exit
from lutfarm_jobs.errors import FarmError, LinkLost, from_wire
from lutfarm_jobs.round import Limits, Round, Slicing, Task
from lutfarm_jobs.run import Failure, Probe, Run, Slice

Point = Literal["prepare", "probe", "measure", "mid-round"]

HELLO = Hello(
    python="CPython 3.11.0",
    machine="x86_64",
    system="Linux 0.0",
    cpu_model="scripted",
    cpus=(0, 1),
    memory_bytes=1 << 33,
    machine_id="0" * 32,
    runner_sha256="0" * 64,
    clock_resolution_ns=1,
    timer_pair_ns=75,
    runtimes={"onnxruntime": "1.0", "ai-edge-litert": "1.0"},
)
POLL_S = 0.01
HOLD_LONGEST_S = 120.0  # a test that forgot to release ends all the same


@dataclass(frozen=True, slots=True)
class Script:
    """What a FakeAgent does.

    latencies_ns: by measurement key; `latency_ns` for all others.
    failures: by measurement key, what the probe finds.
    errors: by point, the FarmError (code, detail) that is raised there; after half of the truncated
    runs at "mid-round".  bug_at: a point where something that is no FarmError is raised.
    holders: who has the device when it is prepared, one after the other.
    hold_at, release: at this point, wait until the file `release` is there, or for a cancel; the
    file `release` + ".reached" says that it waits.
    """

    latency_ns: int = 100_000
    latencies_ns: Mapping[str, int] = field(default_factory=dict[str, int])
    failures: Mapping[str, Failure] = field(default_factory=dict[str, Failure])
    errors: Mapping[Point, tuple[str, str]] = field(default_factory=dict["Point", "tuple[str, str]"])
    bug_at: Point | None = None
    holders: tuple[str, ...] = ()
    hold_at: Point | None = None
    release: Path | None = None
    hello: Hello = HELLO


class FakeAgent:
    """An Agent that measures nothing."""

    def __init__(self, device: Device, script: Script) -> None:
        self.device = device
        self.script = script
        self.ready = False
        self.closed = False
        self.spent_ns: Mapping[str, int] = {}
        self._cancelled = threading.Event()

    def hello(self) -> Hello:
        """As the script says."""
        return self.script.hello

    def prepare(self, claim: Claim) -> Iterator[str]:
        """Yields the script's holders, then is ready."""
        del claim
        self._cancelled.clear()
        return self._prepare()

    def _prepare(self) -> Iterator[str]:
        self.ready = False
        yield from self.script.holders
        self._at("prepare")
        self.ready = not self._cancelled.is_set()

    def probe(self, tasks: Sequence[Task], *, limits: Limits, models: Mapping[str, Path]) -> Iterator[Probe]:
        """One for each task."""
        del limits, models
        self._cancelled.clear()
        return self._probe(tasks)

    def _probe(self, tasks: Sequence[Task]) -> Iterator[Probe]:
        for index, task in enumerate(tasks):
            if index == 0:
                self._at("probe")
            if self._cancelled.is_set():
                return
            key = task.measurement.key
            yield Probe(
                key=key,
                device=self.device.name,
                fingerprint=fingerprint(self.script.hello, task.measurement.backend, None, inputs=task.measurement.workload.fed),
                probed_s=time.time(),
                failure=self.script.failures.get(key),
                load_ns=1_000_000,
                first_inference_ns=2 * self._latency_ns(key),
                iteration_ns=self._latency_ns(key),
                peak_memory_bytes=1 << 26,
                model_memory_bytes=1 << 20,
            )

    def measure(self, round: Round, *, models: Mapping[str, Path]) -> Iterator[Run | Advance]:
        """A run for each task; all slices quiet, every sample the script's latency."""
        del models
        self._cancelled.clear()
        return self._measure(round)

    def _measure(self, round_: Round) -> Iterator[Run | Advance]:
        self.spent_ns = {}
        self._at("measure")
        total = len(round_.tasks) * round_.slicing.passes
        half = len(round_.tasks) // 2
        yield Advance(total // 2, total)
        error: FarmError | None = None
        try:
            self._at("mid-round")
        except FarmError as found:
            error = found
        broken = error is not None or self._cancelled.is_set()
        for index, task in enumerate(round_.tasks):
            if broken and index >= half:
                break
            yield self._run(round_, task, "truncated" if broken else "complete")
        self.spent_ns = {"slices": 1_000_000 * total}
        if error is not None:
            raise error

    def cancel(self) -> None:
        """End what is held."""
        self._cancelled.set()

    def close(self) -> None:
        """Not ready any more."""
        self.ready = False
        self.closed = True

    def _latency_ns(self, key: str) -> int:
        return self.script.latencies_ns.get(key, self.script.latency_ns)

    def _at(self, point: Point) -> None:
        release = self.script.release
        if self.script.hold_at == point and release is not None:
            release.with_name(release.name + ".reached").touch()
            deadline_s = time.monotonic() + HOLD_LONGEST_S
            while not release.exists() and not self._cancelled.is_set() and time.monotonic() < deadline_s:
                time.sleep(POLL_S)
        if self.script.bug_at == point:
            raise ZeroDivisionError(f"the script has a bug at {point}")
        if point in self.script.errors:
            self.ready = False
            raise from_wire(*self.script.errors[point])

    def _run(self, round_: Round, task: Task, status: Literal["complete", "truncated"]) -> Run:
        now_s = time.time()
        measurement = task.measurement
        return Run(
            id=uuid.uuid4().hex,
            key=measurement.key,
            device=measurement.device,
            round_id=round_.id,
            round_index=round_.index,
            status=status,
            started_s=now_s,
            ended_s=now_s,
            fingerprint=fingerprint(self.script.hello, measurement.backend, round_.slicing, inputs=measurement.workload.fed),
            slices=slices(round_.slicing, self._latency_ns(measurement.key)),
            canary_reference_ns=round_.canary_reference_ns or 70_000,
            reference_provisional=round_.canary_reference_ns is None,
        )


def slices(slicing: Slicing, latency_ns: int, *, canary_ns: int = 70_000) -> tuple[Slice, ...]:
    """Quiet slices of one workload, one for each pass, every sample the same."""
    count = max(1, slicing.slice_ns // latency_ns)
    return tuple(
        Slice(
            pass_index=index,
            samples_ns=(latency_ns,) * count,
            canary_before_ns=canary_ns,
            canary_after_ns=canary_ns,
            quiet=True,
            gated=latency_ns <= slicing.long_ns,
            involuntary_switches=0,
            waited_ns=0,
            wall_ns=latency_ns * count,
            cpu_ns=latency_ns * count,
        )
        for index in range(slicing.passes)
    )


class ReplayChannel:
    """A Channel that replays what a device said; what was sent is kept in `sent`.

    `then`: the error that is raised when the lines are used up, by default a lost link.
    """

    def __init__(self, lines: Sequence[str], *, then: FarmError | None = None) -> None:
        self.sent: list[str] = []
        self.killed = False
        self._lines = list(lines)
        self._then = then or LinkLost("the recording ended")

    def send(self, line: str) -> None:
        """Keep it."""
        self.sent.append(line)

    def receive(self, timeout_s: float) -> str:
        """The next line of the recording."""
        del timeout_s
        if not self._lines:
            raise self._then
        return self._lines.pop(0)

    def wait(self, timeout_s: float) -> Exit:
        """It ended well."""
        del timeout_s
        return Exit(0, None, "")

    def kill(self) -> None:
        """Only noted."""
        self.killed = True


@dataclass(frozen=True, slots=True)
class ScriptedAgents:
    """An agent factory for pools: a FakeAgent for devices that have a script, a DeviceAgent for all others."""

    scripts: Mapping[str, Script] = field(default_factory=dict[str, Script])

    def __call__(self, device: Device, state_dir: Path, cpus: frozenset[int] | None) -> Agent:
        """The agent of one device."""
        script = self.scripts.get(device.name)
        if script is None:
            return DeviceAgent(device, state_dir=state_dir, cpus=cpus)
        return FakeAgent(device, script)
