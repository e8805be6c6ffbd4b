"""One device, as the farm sees it while it works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lutfarm.scheduling.policy import Care
from lutfarm_agents.device import Hello

PACE_KNOWN_S = 2.0  # of rounds: what the pace of one that was never seen weighs


@dataclass(frozen=True, slots=True)
class Unit:
    """One device of the farm, whichever jobs it works for."""

    name: str
    care: Care = Care()
    machine_id: str = ""  # known once it said hello
    hello: Hello | None = None
    opened: bool = False
    in_flight: str | None = None  # order id
    jobs: tuple[str, ...] = ()  # ... and the ids of those that it is for
    heard: frozenset[str] = frozenset()  # ... and of those that have results of it
    cancelled: bool = False  # ... which was told to end
    failures_in_a_row: int = 0  # of orders of any job
    failures: Mapping[str, int] = field(default_factory=dict[str, int])  # by job: of its own orders, in a row
    not_before_s: float = 0.0  # back-off
    quarantined: str = ""  # why it is out of work, or empty
    code: str = ""  # the class of the error that it is out of work for, where it is one
    out: str = ""  # the state in which it is out of work: quarantined, lost, ...
    leased: bool = True  # else another has it, or nobody here has use for it
    dropped: int = (
        0  # results that were not stored when they came: their lease had passed to another, or nobody here had ordered them
    )
    hot_since_s: float | None = None  # it rests until it is cool
    spent_s: float = 0.0  # device time of this sitting, of all jobs
    began_s: float = 0.0  # of the round in flight, Unix time
    due_s: float = 0.0  # what the round in flight should take on a quiet machine; 0: it is no round
    rounds_due_s: float = 0.0  # ... all rounds that ended well should have taken
    rounds_took_s: float = 0.0  # and took, on the wall

    @property
    def pace(self) -> float:
        """How many times longer rounds take here, now, than on a quiet machine; drawn towards 1 while few are known."""
        return (PACE_KNOWN_S + self.rounds_took_s) / (PACE_KNOWN_S + self.rounds_due_s)

    @property
    def machine(self) -> str:
        """What it shares with the units that take turns with it: itself, before it said hello."""
        return self.machine_id or self.name
