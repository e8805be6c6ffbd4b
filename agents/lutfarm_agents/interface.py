"""What an agent is: DeviceAgent is one, and the fakes of lutfarm_agents.testing are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lutfarm_agents.device import Claim, Hello
from lutfarm_jobs.round import Limits, Round, Task
from lutfarm_jobs.run import Probe, Run


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
        """Where the last order's device time went: see lutfarm.agent_pool.interface.Done."""
        ...

    def prepare(self, claim: Claim) -> Iterator[str]:
        """Open the session and take the lock; yields who has it.  Not ready afterwards: cancelled."""
        ...

    def hello(self) -> Hello:
        """What the device says of itself, from the open session or a short one without the lock."""
        ...

    def probe(self, tasks: Sequence[Task], *, limits: Limits, models: Mapping[str, Path]) -> Iterator[Probe]:
        """One throwaway child for each task; `models`: where artifacts lie on the host, by SHA-256."""
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
