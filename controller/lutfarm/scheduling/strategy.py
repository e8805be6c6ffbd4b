"""In which order a job is measured, and when it is enough."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from lutfarm.agent_pool.interface import Event
from lutfarm.scheduling.decide import Step, decide
from lutfarm.scheduling.news import News
from lutfarm.scheduling.policy import MeasuringPolicy
from lutfarm.scheduling.state import FarmState


class Strategy(Protocol):
    """In which order a job is measured, and when it is enough.  A value: `after` gives the next one."""

    def wants_processes(self, state: FarmState, events: Sequence[Event]) -> Collection[str]:
        """Units whose stored processes it has to see with these events: see News.processes."""
        ...

    def after(self, state: FarmState, news: News, now_s: float) -> tuple[Strategy, FarmState]:
        """This strategy and the state, which knows the news already, as it sees them."""
        ...

    def decide(self, state: FarmState, policies: Mapping[str, MeasuringPolicy], now_s: float) -> list[Step]:
        """See scheduling.decide."""
        ...


class Plain:
    """Every unit on its own, until its measurements are done."""

    def wants_processes(self, state: FarmState, events: Sequence[Event]) -> Collection[str]:
        """None."""
        del state, events
        return ()

    def after(self, state: FarmState, news: News, now_s: float) -> tuple[Strategy, FarmState]:
        """As they are."""
        del news, now_s
        return self, state

    def decide(self, state: FarmState, policies: Mapping[str, MeasuringPolicy], now_s: float) -> list[Step]:
        """See scheduling.decide."""
        return decide(state, policies, now_s)
