"""In which order a job is measured, and when it is enough."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lutfarm.agent_pool.interface import Event
from lutfarm.scheduling.job_progress import JobProgress
from lutfarm.scheduling.next_step import next_step
from lutfarm.scheduling.steps import Step, Wait
from lutfarm.scheduling.unit import Unit
from lutfarm.statistics.comparisons.pairs import PairedRound


@dataclass(frozen=True, slots=True)
class JobNews:
    """What a turn has heard for one job."""

    events: Sequence[Event] = ()
    paired_rounds: Mapping[str, Mapping[str, PairedRound]] = field(default_factory=dict[str, Mapping[str, PairedRound]])
    """By key and run: its complete ones of the units that its strategy asked for, judged by what is known now."""


class Strategy(Protocol):
    """In which order a job is measured, and when it is enough.  A value: `after` gives the next one."""

    @property
    def together(self) -> bool:
        """Whether one of its devices is of no use to it without all others."""
        ...

    def wants_rounds(self, job: JobProgress, units: Mapping[str, Unit], events: Sequence[Event]) -> Collection[str]:
        """Units whose stored rounds it has to see with these events: see JobNews.paired_rounds."""
        ...

    def after(self, job: JobProgress, units: Mapping[str, Unit], news: JobNews, now_s: float) -> tuple[Strategy, JobProgress]:
        """This strategy and its job, which knows the news already, as it sees them.  `units`: the farm's."""
        ...

    def urgent(self, job: JobProgress, units: Mapping[str, Unit]) -> bool:
        """Whether what comes next loses its worth if it comes late: then no other job goes first."""
        ...

    def next(self, job: JobProgress, units: Mapping[str, Unit], idle: Sequence[str], now_s: float) -> Step | Wait | None:
        """A step for one of the job's idle units of one machine; None where it wants nothing of them now."""
        ...


class Plain:
    """Every unit on its own, until its measurements are done."""

    @property
    def together(self) -> bool:
        """No."""
        return False

    def wants_rounds(self, job: JobProgress, units: Mapping[str, Unit], events: Sequence[Event]) -> Collection[str]:
        """None."""
        del job, units, events
        return ()

    def after(self, job: JobProgress, units: Mapping[str, Unit], news: JobNews, now_s: float) -> tuple[Strategy, JobProgress]:
        """As they are."""
        del units, news, now_s
        return self, job

    def urgent(self, job: JobProgress, units: Mapping[str, Unit]) -> bool:
        """No: rounds may lie hours apart."""
        del job, units
        return False

    def next(self, job: JobProgress, units: Mapping[str, Unit], idle: Sequence[str], now_s: float) -> Step | None:
        """The unit that was given the least device time goes first."""
        for name in sorted(idle, key=lambda name: (units[name].spent_s, name)):
            if step := next_step(job, units[name], now_s):
                return step
        return None
