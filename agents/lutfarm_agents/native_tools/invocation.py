"""A conversation with a native benchmark tool on a device: one invocation, one process-level sample.

Nothing of ours runs there meanwhile but what holds the device's lock: the supervisor, or a shell where there is no Python.
"""

from __future__ import annotations

import math
import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lutfarm_agents.device import Device
from lutfarm_agents.native_tools.known import tool_of
from lutfarm_agents.native_tools.report import ToolReport
from lutfarm_agents.sanitize import clean
from lutfarm_agents.transports.interface import Completed, Transport
from lutfarm_jobs.errors import MeasurementError, NotReady, RegistrationStale, ReplyTimeout, WorkloadFailed, WorkloadTimeout
from lutfarm_jobs.round import Limits, Round, Task
from lutfarm_jobs.run import Failure, Probe, Run
from lutfarm_jobs.runtimes import is_tool
from lutfarm_runner.exit_reason import LIMITS

PROBE_RUNS = 5
LEAST_RUNS, MOST_RUNS = 20, 2000  # of one invocation: its output stays under 1 MiB
FILL_S = 1.0  # an invocation has as many runs as fill this
PATH_PATTERN = r"/[^\x00-\x1f\x7f]{1,500}"


def binary(device: Device, runtime: str) -> str:
    """Where the tool lies on the device.  Raises RegistrationStale."""
    path = device.address.tools.get(runtime, "")
    if not re.fullmatch(PATH_PATTERN, path):
        raise RegistrationStale(
            f"{device.name}: no {runtime} is named for it; push the binary there and register it again with "
            f"--tool {runtime}=/path/on/the/device"
        )
    return path


def versions(device: Device, transport: Transport) -> Mapping[str, str]:
    """By runtime: the first digits of the SHA-256 of each tool that is named, empty where it can't be read."""
    found: dict[str, str] = {}
    for runtime in device.address.tools:
        if is_tool(runtime):
            said = transport.run(["sha256sum", binary(device, runtime)])
            digest = re.match(rb"\\?([0-9a-f]{64})\b", said.stdout)
            if said.code == 0 and digest:
                found[runtime] = f"sha256:{digest[1].decode()[:16]}"
    return found


@dataclass(frozen=True, slots=True)
class ToolSession:
    """The tools of one device, by the paths that its registration names.

    `run(words, timeout_s)` runs one to its end; it raises ReplyTimeout where that does not come.
    """

    device: Device
    transport: Transport
    run: Callable[[Sequence[str], float], Completed]

    def probe(self, task: Task, path: str, limits: Limits, cpus: Sequence[int], fingerprint: Mapping[str, str]) -> Probe:
        """One short invocation."""
        failure: Failure | None = None
        report: ToolReport | None = None
        try:
            report = self._invoke(task, path, PROBE_RUNS, limits, cpus)
        except MeasurementError as error:
            failure = Failure(error.code, error.detail)
        return Probe(
            key=task.measurement.key,
            device=task.measurement.device,
            fingerprint=fingerprint,
            probed_s=time.time(),
            failure=failure,
            load_ns=report.load_ns if report else None,
            first_inference_ns=report.first_inference_ns if report else None,
            iteration_ns=report.summary.estimate_ns if report else None,
        )

    def measure(self, order: Round, task: Task, path: str, cpus: Sequence[int], fingerprint: Mapping[str, str]) -> Run:
        """One invocation, long enough for a mean."""
        started_s = time.time()
        iteration_s = (task.iteration_ns or 1_000_000) / 1e9
        runs = min(MOST_RUNS, max(LEAST_RUNS, math.ceil(FILL_S / iteration_s)))
        failure: Failure | None = None
        report: ToolReport | None = None
        try:
            report = self._invoke(task, path, runs, order.limits, cpus)
        except MeasurementError as error:
            failure = Failure(error.code, error.detail)
        return Run(
            id=uuid.uuid4().hex,
            key=task.measurement.key,
            device=task.measurement.device,
            round_id=order.id,
            round_index=order.index,
            status="failed" if failure else "complete",
            started_s=started_s,
            ended_s=time.time(),
            fingerprint=fingerprint,
            failure=failure,
            reference_provisional=False,
            load_ns=report.load_ns if report else None,
            first_inference_ns=report.first_inference_ns if report else None,
            summary=report.summary if report else None,
        )

    def _invoke(self, task: Task, path: str, runs: int, limits: Limits, cpus: Sequence[int]) -> ToolReport:
        """Raises WorkloadFailed, WorkloadTimeout; NotReady where there is no such binary; LinkError."""
        backend = task.measurement.backend
        tool, path_there = tool_of(backend.runtime), binary(self.device, backend.runtime)
        iteration_s = (task.iteration_ns or 0) / 1e9 or limits.iteration_s
        timeout_s = limits.load_s + 10.0 + min(runs * limits.iteration_s, 10 * runs * iteration_s + limits.iteration_s)
        done = self._run([*_pinned(cpus), *tool.argv(path_there, path, backend, runs)], timeout_s)
        said = done.stdout.decode("utf-8", "replace") + "\n" + done.stderr
        if done.code in (126, 127):
            raise NotReady(f"{self.device.name}: {path_there[:200]} can't be run there: {clean(said.strip()[-300:], 300)}")
        if done.code != 0:
            how = f"signal {-done.code}" if done.code < 0 else f"exit status {done.code}"
            raise WorkloadFailed(f"{backend.runtime} ended with {how}: {' '.join(said.split())[-500:]}")
        return tool.parse(said, backend)

    def _run(self, argv: Sequence[str], timeout_s: float) -> Completed:
        try:
            return self.run(argv, timeout_s)
        except ReplyTimeout as error:
            self.transport.run(["true"])  # raises where it was the link that fell silent
            raise WorkloadTimeout(f"not done after {timeout_s:.0f} s: {LIMITS}") from error


def _pinned(cpus: Sequence[int]) -> list[str]:
    """taskset takes a hexadecimal mask on Android, on busybox and elsewhere."""
    return ["taskset", f"{sum(1 << cpu for cpu in cpus):x}"] if cpus else []
