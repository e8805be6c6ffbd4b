"""A simulated device behind the real agent, session and wire.

SimulatedTransport is a Transport whose processes are runners in virtual time: they take the commands of docs/wire.md, read
by the runner's own code, and answer with lines that the runner's own code encodes.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

from lutfarm_agents.conditions import read_temperature
from lutfarm_agents.device import Claim, Device, Hello
from lutfarm_agents.interface import Advance, Agent
from lutfarm_agents.runner_agent import DeviceAgent
from lutfarm_agents.testing.machine import FORK_NS, IMPORT_NS, Machine, SimulatedDevice, begin_round, warm_iteration_ns
from lutfarm_agents.transports.interface import Channel, Completed, Exit
from lutfarm_jobs.errors import LinkLost, ReplyTimeout, TransferFailed
from lutfarm_jobs.round import Limits, Round, Task
from lutfarm_jobs.run import Probe, Run
from lutfarm_runner import PROTOCOL
from lutfarm_runner.child import sampling
from lutfarm_runner.child.round import encode_slice
from lutfarm_runner.commands import read_lock, read_probe, read_round
from lutfarm_runner.wire import Refused, decode, encode

RUNTIMES = {"onnxruntime": "1.0", "ai-edge-litert": "1.0"}
_Result = TypeVar("_Result")
BETWEEN_ROUNDS_NS = 20_000_000  # the host decides, commits and sends


class SimulatedRunner:
    """A Channel to a runner in virtual time.  `epoch_s`: the Unix time at which the machine's time was 0."""

    def __init__(self, machine: Machine, *, runner_sha256: str, epoch_s: float) -> None:
        self._machine = machine
        self._epoch_s = epoch_s
        self._lines: Iterator[bytes] = iter([encode("hello", self._hello(runner_sha256))])
        self._cancelled = threading.Event()
        self._ended = False

    def send(self, line: str) -> None:
        """Take a command; its answers are worked out as they are received."""
        if self._ended:
            raise LinkLost("the simulated runner has ended")
        try:
            command = decode(line.encode())
        except Refused as refused:
            self._lines = _refusal(refused)
            return
        if command["type"] == "cancel":
            self._cancelled.set()
        elif command["type"] == "stop":
            self._ended = True
        else:
            self._cancelled.clear()
            self._lines = self._answer(command)

    def receive(self, timeout_s: float) -> str:
        """The next line, at once.  Raises ReplyTimeout where no command runs, LinkLost after the end."""
        if self._ended:
            raise LinkLost("the simulated runner has ended")
        line = next(self._lines, None)
        if line is None:
            raise ReplyTimeout(f"nothing was said in {timeout_s:g} s: the simulated runner has no command")
        return line.decode().rstrip("\n")

    def wait(self, timeout_s: float) -> Exit:
        """It ended well, once it was stopped.  Raises ReplyTimeout before."""
        if not self._ended:
            raise ReplyTimeout(f"the simulated runner still ran after {timeout_s:g} s")
        return Exit(0, None, "")

    def kill(self) -> None:
        """It is gone."""
        self._ended = True

    def _answer(self, command: Mapping[str, object]) -> Iterator[bytes]:
        plays = {"lock": self._lock, "probe": self._probe, "round": self._round}
        play = plays.get(str(command["type"]))
        try:
            if play is None:
                raise Refused("ProtocolMismatch", f"the command {str(command['type'])[:40]!r} is not known")
            yield from play(command)
        except Refused as refused:
            yield from _refusal(refused)
            return
        yield encode("done", {"cancelled": self._cancelled.is_set()})

    def _lock(self, command: Mapping[str, object]) -> Iterator[bytes]:
        read_lock(command)
        return iter(())

    def _probe(self, command: Mapping[str, object]) -> Iterator[bytes]:
        machine, clock = self._machine, self._machine.clock()
        machine.spend(IMPORT_NS)  # the template, of which each workload has a child
        for workload in read_probe(command).workloads:
            if self._cancelled.is_set():
                return
            process = machine.process(FORK_NS)
            began_ns = clock.now_ns()
            run = process.workload(machine.device.true_ns(PurePosixPath(workload.path).stem))
            machine.spend(1_000_000)
            load_ns = clock.now_ns() - began_ns
            began_ns = clock.now_ns()
            run()
            yield encode(
                "probed",
                {
                    "id": workload.id,
                    "load_ns": max(0, load_ns),
                    "first_inference_ns": max(0, clock.now_ns() - began_ns),
                    "iteration_ns": warm_iteration_ns(clock, run),
                    "peak_memory_bytes": 1 << 26,
                    "model_memory_bytes": 1 << 20,
                    "agreement": 0.0,
                    "floor_ns": None,
                },
            )

    def _round(self, command: Mapping[str, object]) -> Iterator[bytes]:
        order, machine = read_round(command), self._machine
        machine.rest(BETWEEN_ROUNDS_NS)
        began_ns, before = machine.now_ns, self._environment()
        played = begin_round(
            machine,
            [machine.device.true_ns(PurePosixPath(w.path).stem) for w in order.workloads],
            order.slicing,
            seed=order.seed,
            reference_ns=order.reference_ns,
            iteration_ns=[w.iteration_ns for w in order.workloads],
        )
        ids = [workload.id for workload in order.workloads]
        for subject, number in zip(played.subjects, ids, strict=True):
            subject.id = number
        yield encode(
            "started",
            {
                "environment": before,
                "import_ns": 0,
                "canary_reference_ns": played.sampler.reference_ns,
                "reference_provisional": played.provisional,
                "clock_step_ns": machine.device.clock_step_ns,
            },
        )
        for number, (load_ns, first_ns) in zip(ids, played.loaded, strict=True):
            yield encode("loaded", {"id": number, "load_ns": load_ns, "first_inference_ns": first_ns})
        for batch in played.batches():
            if self._cancelled.is_set():
                return
            yield from map(encode_slice, batch)
        spent = {name: max(0, value) for name, value in vars(played.sampler.spent).items()}
        spent["load"] = sum(load_ns for load_ns, _ in played.loaded)
        spent["other"] = max(0, int(machine.now_ns - began_ns) - sum(spent.values()))
        yield encode(
            "ended",
            {
                "environment": self._environment(),
                "peak_memory_bytes": None,
                "rejected": sampling.rejected(played.subjects),
                "discarded": sampling.discarded(played.subjects),
                "spent_ns": spent,
            },
        )

    def _environment(self) -> dict[str, object]:
        return asdict(self._machine.environment(self._epoch_s))

    def _hello(self, runner_sha256: str) -> dict[str, object]:
        seed = self._machine.device.seed
        return {
            "protocol": PROTOCOL,
            "runner_sha256": runner_sha256,
            "python": "CPython 3.11.0",
            "machine": "simulated",
            "system": "Simulated 1.0",
            "cpu_model": "simulated",
            "cpus": [0, 1],
            "cpus_off": [],
            "word_bits": 64,
            "abi": "simulated",
            "libc": "",
            "memory_bytes": 1 << 33,
            "machine_id": hashlib.sha256(f"simulated {id(self._machine)} {seed}".encode()).hexdigest()[:32],
            "clock_resolution_ns": self._machine.device.clock_step_ns,
            "timer_pair_ns": round(self._machine.device.reading_ns),
            "runtimes": RUNTIMES,
            "governor": None,
            "environment": self._environment(),
        }


def _refusal(refused: Refused) -> Iterator[bytes]:
    yield encode("error", {"code": refused.code, "detail": refused.detail[:8000]})
    yield encode("done", {"cancelled": False})


class SimulatedTransport:
    """Files and processes of a simulated device; files are kept by name alone, as nothing ever reads them."""

    def __init__(self, machine: Machine, *, epoch_s: float) -> None:
        self.files: dict[str, int] = {}  # name on the device -> size in bytes
        self._machine = machine
        self._epoch_s = epoch_s

    @property
    def remarks(self) -> tuple[str, ...]:
        """Nothing lies between."""
        return ()

    def put(self, local: Path, remote: str) -> None:
        """Note that it is there."""
        try:
            self.files[remote] = local.stat().st_size
        except OSError as error:
            raise TransferFailed(f"{local} can't be read: {error}") from error

    def get(self, remote: str, local: Path) -> None:
        """Nothing can be copied back.  Raises TransferFailed."""
        raise TransferFailed(f"a simulated device keeps no contents, so {remote} can't be copied to {local}")

    def exists(self, remote: str) -> bool:
        """Whether it was put."""
        return remote in self.files

    @contextmanager
    def spawn(self, argv: Sequence[str], *, env: Mapping[str, str]) -> Generator[Channel]:
        """A runner, whatever is started; its hash is in its file's name."""
        del env
        sha256 = next((PurePosixPath(word).stem for word in argv if word.endswith(".pyz")), "")
        runner = SimulatedRunner(self._machine, runner_sha256=sha256, epoch_s=self._epoch_s)
        try:
            yield runner
        finally:
            runner.kill()

    def run(self, argv: Sequence[str], *, timeout_s: float = 20.0) -> Completed:
        """A look at the thermometer is answered; every other command succeeds and says nothing."""
        del timeout_s
        celsius = self._machine.temperature_c
        if read_temperature.SCRIPT not in argv or celsius is None:
            return Completed(0, b"", "")
        return Completed(0, f"zone {round(1000 * celsius)} cpu-thermal\n".encode(), "")

    def reap(self) -> int:
        """Nothing is ever left behind."""
        return 0

    def close(self) -> None:
        """Nothing to release."""


class SimulatedAgent:
    """A DeviceAgent on a simulated device; times of runs and device time spent are virtual.

    `machine` may be rested between orders, to let a night pass.
    """

    def __init__(self, device: Device, simulated: SimulatedDevice, *, state_dir: Path) -> None:
        self.device = device
        self.machine = Machine(simulated)
        self.spent_ns: Mapping[str, int] = {}
        self._epoch_s = time.time()
        transport = SimulatedTransport(self.machine, epoch_s=self._epoch_s)
        self._agent = DeviceAgent(device, state_dir=state_dir, transport=transport)

    @property
    def ready(self) -> bool:
        """See Agent."""
        return self._agent.ready

    @property
    def now_s(self) -> float:
        """The device's Unix time."""
        return self._epoch_s + self.machine.now_ns / 1e9

    def prepare(self, claim: Claim) -> Iterator[str]:
        """See Agent."""
        self.spent_ns = {}
        return self._agent.prepare(claim)

    def hello(self) -> Hello:
        """See Agent."""
        return self._agent.hello()

    def probe(self, tasks: Sequence[Task], *, limits: Limits, models: Mapping[str, Path]) -> Iterator[Probe]:
        """See Agent."""
        for probe in self._timed(self._agent.probe(tasks, limits=limits, models=models)):
            yield replace(probe, probed_s=self.now_s)

    def measure(self, round: Round, *, models: Mapping[str, Path]) -> Iterator[Run | Advance]:
        """See Agent."""
        began_s = self.now_s
        for found in self._timed(self._agent.measure(round, models=models)):
            yield replace(found, started_s=began_s, ended_s=self.now_s) if isinstance(found, Run) else found

    def _timed(self, order: Iterator[_Result]) -> Iterator[_Result]:
        began_ns = self.machine.now_ns
        try:
            yield from order
        finally:
            self.spent_ns = {"other": int(self.machine.now_ns - began_ns)}

    def cancel(self) -> None:
        """See Agent."""
        self._agent.cancel()

    def close(self) -> None:
        """See Agent."""
        self._agent.close()


@dataclass(frozen=True, slots=True)
class SimulatedAgents:
    """An agent factory for pools: a SimulatedAgent for devices that are named, a DeviceAgent for all others."""

    devices: Mapping[str, SimulatedDevice] = field(default_factory=dict[str, SimulatedDevice])

    def __call__(self, device: Device, state_dir: Path, cpus: frozenset[int] | None) -> Agent:
        """The agent of one device."""
        simulated = self.devices.get(device.name)
        if simulated is None:
            return DeviceAgent(device, state_dir=state_dir, cpus=cpus)
        return SimulatedAgent(device, simulated, state_dir=state_dir)
