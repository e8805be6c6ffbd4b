"""A round of native tools, with what was true on the device before and after each: the same with a runner and without."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from lutfarm_agents.conditions.power import Power, with_power
from lutfarm_agents.conditions.thermal import Climate, Reading, seen_by
from lutfarm_agents.discovery.shell_hello import look
from lutfarm_agents.interface import Advance
from lutfarm_agents.native_tools.invocation import ToolSession
from lutfarm_agents.provisioning.model_cache import ModelCache
from lutfarm_agents.transports.interface import Transport
from lutfarm_jobs.round import Round, Task
from lutfarm_jobs.run import Environment, Run


@dataclass(frozen=True, slots=True)
class ToolRounds:
    """Measures with the tools of one device; its surroundings are looked at through a shell, never while a tool runs."""

    tools: ToolSession
    model_cache: ModelCache
    transport: Transport
    root: str  # lutfarm's folder there
    climate: Climate
    power: Power

    def measure(
        self, round_: Round, cpus: Sequence[int], fingerprint: Callable[[Task], Mapping[str, str]], cancelled: threading.Event
    ) -> Iterator[Run | Advance]:
        """One invocation for each task; what was measured before a link broke has arrived already."""
        before, climate = self._look(cpus)
        for done, task in enumerate(round_.tasks, 1):
            if cancelled.is_set():
                return
            run = self.tools.measure(round_, task, self.model_cache.place(task.artifact), cpus, fingerprint(task))
            if cancelled.is_set():  # it was ended, so what it said is no result
                return
            after, now = self._look(cpus)
            yield replace(run, before=before, after=after, throttled=self.climate.throttled(climate, now))
            yield Advance(done, len(round_.tasks))
            before, climate = after, now

    def _look(self, cpus: Sequence[int]) -> tuple[Environment | None, Reading]:
        moment = look(self.transport, self.root, cpus[-1])
        reading = self.climate.read()
        return with_power(seen_by(moment, reading), self.power.read_w()), reading
