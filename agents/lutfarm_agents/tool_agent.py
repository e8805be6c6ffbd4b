"""ToolAgent: owns one device that has no Python, and measures there with native tools alone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from lutfarm_agents.device import Device
from lutfarm_agents.device_access import DeviceAccess
from lutfarm_agents.device_session import DeviceSession
from lutfarm_agents.factory import AgentKind
from lutfarm_agents.interface import Advance
from lutfarm_agents.lock_by_shell.shell_link import ShellLink
from lutfarm_agents.native_tools.invocation import binary
from lutfarm_agents.native_tools.tool_rounds import ToolMeasurer
from lutfarm_agents.transports.interface import Transport
from lutfarm_jobs.errors import NotReady
from lutfarm_jobs.round import Limits, Round, Task
from lutfarm_jobs.run import Probe, Run
from lutfarm_jobs.runtimes import is_tool

T = TypeVar("T")


class ToolAgent(DeviceSession):
    """An agent that needs nothing on the device but a shell and the tools."""

    def __init__(self, device: Device, *, state_dir: Path, transport: Transport | None = None) -> None:
        access = DeviceAccess.to(device, state_dir, transport=transport)
        super().__init__(access, ShellLink(access))
        self._tools = ToolMeasurer(self)

    def probe(self, tasks: Sequence[Task], *, limits: Limits, models: Mapping[str, Path]) -> Iterator[Probe]:
        """One short invocation for each task."""
        self.cancelled.clear()
        return self._timed(self._probe(tasks, limits, models))

    def _probe(self, tasks: Sequence[Task], limits: Limits, models: Mapping[str, Path]) -> Iterator[Probe]:
        self._fill(tasks, models)
        with self.dropping():
            yield from self._tools.probe(tasks, limits)

    def measure(self, round: Round, *, models: Mapping[str, Path]) -> Iterator[Run | Advance]:
        """One invocation for each task; what was measured before a link broke has arrived already."""
        self.cancelled.clear()
        return self._timed(self._measure(round, models))

    def _measure(self, round_: Round, models: Mapping[str, Path]) -> Iterator[Run | Advance]:
        self._fill(round_.tasks, models)
        cpus = self.measured_cpus(round_.tasks)
        with self.dropping():
            yield from self._tools.measure(round_, cpus)

    def _fill(self, tasks: Sequence[Task], models: Mapping[str, Path]) -> None:
        """Push what is missing.  Raises LinkLost where no session is open, NotReady for what no tool measures."""
        self.opened_hello()
        for runtime in sorted({task.measurement.backend.runtime for task in tasks}):
            if not is_tool(runtime):
                raise NotReady(f"{self.device.name}: {runtime} needs Python there; it is registered for native tools only")
            binary(self.device, runtime)
        self.access.model_cache.fill([task.artifact for task in tasks], models)

    def _timed(self, steps: Iterator[T]) -> Iterator[T]:
        began_ns = time.monotonic_ns()
        self.spent_ns = {}
        try:
            yield from steps
        finally:
            self.spent_ns = {"other": time.monotonic_ns() - began_ns}


def _make(device: Device, *, state_dir: Path, cpus: frozenset[int] | None) -> ToolAgent:
    del cpus
    return ToolAgent(device, state_dir=state_dir)


KIND = AgentKind(lambda device: device.tools_only, _make)
