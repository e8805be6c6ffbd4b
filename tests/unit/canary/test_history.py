"""What a job that runs reads of its canaries' rounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from lutfarm.canary.history import CanaryHistory
from lutfarm.records.canary_round import CanaryRound
from lutfarm.store.interface import CanaryStore


@dataclass
class Rounds:
    """A store's rounds, by when they began; a later run of a round makes it anew."""

    by_time: dict[float, CanaryRound] = field(default_factory=dict)

    def canary_rounds(self, device: str, backend_key: str, conditions_key: str, *, after_s: float | None = None):
        return [one for at_s, one in sorted(self.by_time.items()) if after_s is None or at_s > after_s]

    def put(self, at_s: float, level_ns: int) -> None:
        self.by_time[at_s] = CanaryRound(at_s, level_ns, idle=True)


def test_a_round_counts_as_its_last_run_leaves_it() -> None:
    store = Rounds()
    history = CanaryHistory(cast(CanaryStore, store))

    def levels() -> list[int]:
        return [one.level_ns for one in history.rounds("desk", "ort", "b1-steady")]

    assert levels() == []
    store.put(1.0, 100)
    assert levels() == [100]
    store.put(1.0, 150)  # its second run arrived
    assert levels() == [150]
    store.put(2.0, 90)
    store.put(3.0, 80)
    assert levels() == [150, 90, 80]
    store.put(3.0, 85)
    assert levels() == [150, 90, 85]
