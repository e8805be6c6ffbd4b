"""An agent for such folders: the runner's own, with a diary of its rounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from lutfarm_agents.device import Device
from lutfarm_agents.factory import AgentKind
from lutfarm_agents.interface import Advance
from lutfarm_agents.runner_agent import DeviceAgent
from lutfarm_jobs.round import Round
from lutfarm_jobs.run import Run


class Diarist(DeviceAgent):
    """Writes a line a round."""

    def measure(self, round: Round, *, models: Mapping[str, Path]) -> Iterator[Run | Advance]:
        """See Agent.measure."""
        with Path(self.device.address.root, "diary.txt").open("a") as diary:
            diary.write(f"{round.index} {round.tasks[0].measurement.backend.key}\n")
        return super().measure(round, models=models)


def make(device: Device, *, state_dir: Path, cpus: frozenset[int] | None) -> Diarist:
    """Nothing is connected yet."""
    return Diarist(device, state_dir=state_dir, cpus=cpus)


KIND = AgentKind(lambda device: device.transport == "folder", make)
