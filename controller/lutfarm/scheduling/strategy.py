"""In which order a job is measured, and when it is enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from lutfarm.agent_pool.interface import Event
from lutfarm.scheduling.decide import Step, decide
from lutfarm.scheduling.policy import MeasuringPolicy
from lutfarm.scheduling.state import FarmState
from lutfarm.store.interface import Store


class Strategy(Protocol):
    """In which order a job is measured, and when it is enough."""

    def decide(self, state: FarmState, policies: Mapping[str, MeasuringPolicy], now_s: float) -> list[Step]:
        """See scheduling.decide."""
        ...

    def settled(self, state: FarmState, events: Sequence[Event], store: Store, now_s: float) -> FarmState:
        """The state after events that were committed, as this strategy sees it."""
        ...


class Plain:
    """Every unit on its own, until its measurements are done."""

    def decide(self, state: FarmState, policies: Mapping[str, MeasuringPolicy], now_s: float) -> list[Step]:
        """See scheduling.decide."""
        return decide(state, policies, now_s)

    def settled(self, state: FarmState, events: Sequence[Event], store: Store, now_s: float) -> FarmState:
        """As it is."""
        del events, store, now_s
        return state
