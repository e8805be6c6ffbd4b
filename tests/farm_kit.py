"""What tests of whole jobs share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lutfarm.agent_pool.interface import Event
from lutfarm.execution.resume import Resumed
from lutfarm.scheduling.job_progress import JobProgress
from lutfarm.scheduling.unit import Unit


class Quiet:
    """A watcher that keeps what it is told."""

    def __init__(self) -> None:
        self.found: list[Resumed] = []

    def waiting(self, device: str, holder: str) -> None:
        """Nobody else is here."""

    def retrying(self, failures: int) -> None:
        """Nothing failed before."""

    def resumed(self, device: str, found: Resumed) -> None:
        """Remember."""
        self.found.append(found)

    def preparing(self, done: int, total: int) -> None:
        """Models are built."""

    def update(self, job: JobProgress, units: Mapping[str, Unit], events: Sequence[Event]) -> None:
        """Nothing to show."""
