"""Measures with native tools, with what was true on the device before and after each: the same with a runner and without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lutfarm_agents.conditions.surroundings import Moment
from lutfarm_agents.device_session import DeviceSession
from lutfarm_agents.discovery.shell_hello import look
from lutfarm_agents.interface import Advance
from lutfarm_agents.native_tools.invocation import ToolSession
from lutfarm_jobs.round import Limits, Round, Task
from lutfarm_jobs.run import Environment, Probe, Run


@dataclass(frozen=True, slots=True)
class ToolMeasurer:
    """Over an open session whose models are there; the surroundings are looked at through a shell, never while a tool runs."""

    session: DeviceSession

    def probe(self, tasks: Sequence[Task], limits: Limits) -> Iterator[Probe]:
        """One short invocation for each task."""
        session, tools = self.session, self._tools
        for task in tasks:
            if session.cancelled.is_set():
                return
            path = session.access.model_cache.place(task.artifact)
            cpus = session.measured_cpus([task])
            found = tools.probe(task, path, limits, cpus, session.fingerprint(task, None))
            if session.cancelled.is_set():  # it was ended, so what it said is no result
                return
            yield found

    def measure(self, round_: Round, cpus: Sequence[int]) -> Iterator[Run | Advance]:
        """One invocation for each task; what was measured before a link broke has arrived already."""
        session, tools = self.session, self._tools
        session.access.surroundings.set_for(round_.tasks[0].measurement.conditions, cpus)
        before, at_begin = self._look(cpus)
        for done, task in enumerate(round_.tasks, 1):
            if session.cancelled.is_set():
                return
            path = session.access.model_cache.place(task.artifact)
            run = tools.measure(round_, task, path, cpus, session.fingerprint(task, round_.slicing))
            if session.cancelled.is_set():  # it was ended, so what it said is no result
                return
            after, at_end = self._look(cpus)
            throttled = session.access.surroundings.throttled(at_begin, at_end)
            yield replace(run, before=before, after=after, throttled=throttled)
            yield Advance(done, len(round_.tasks))
            before, at_begin = after, at_end

    @property
    def _tools(self) -> ToolSession:
        access = self.session.access
        return ToolSession(access.device, access.transport, self.session.run_tool)

    def _look(self, cpus: Sequence[int]) -> tuple[Environment | None, Moment]:
        access = self.session.access
        environment = look(access.transport, access.root, cpus[-1])
        moment = access.surroundings.before()
        return moment.beside(environment), moment
