"""What a store knows of canaries: their rounds, the epochs of their references, how far the newest rounds are away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lutfarm.canary.epochs import Epoch, Recent, epochs, recent
from lutfarm.records.canary_round import CanaryRound
from lutfarm.store.interface import CanaryStore


@dataclass(frozen=True, slots=True)
class Canary:
    """One canary of a device.  `rounds` are oldest first, `epochs` by when they begin."""

    device: str
    backend_key: str
    conditions_key: str
    rounds: Sequence[CanaryRound]
    epochs: Sequence[Epoch]

    @property
    def newest(self) -> Epoch | None:
        """The epoch of the newest round."""
        return max(self.epochs, key=lambda epoch: epoch.until_s, default=None)

    @property
    def last_ratio(self) -> float | None:
        """The newest round's level over its reference; None without either."""
        newest = self.newest
        return self.rounds[-1].level_ns / newest.reference_ns if newest and newest.reference_ns else None

    @property
    def recent(self) -> Recent | None:
        """How far all of the newest rounds are from an established reference; None while there is none."""
        newest = self.newest
        return recent(self.rounds, newest.reference_ns) if newest and not newest.provisional else None


@dataclass(frozen=True, slots=True)
class CanaryHistory:
    """What a store knows of the canaries of devices that this job holds: nobody else adds rounds, so what is new is read.

    The newest round is read again: while it lasts, each of its runs that arrives makes it anew.
    """

    store: CanaryStore
    _rounds: dict[tuple[str, str, str], list[CanaryRound]] = field(default_factory=dict[tuple[str, str, str], list[CanaryRound]])

    def rounds(self, device: str, backend_key: str, conditions_key: str) -> Sequence[CanaryRound]:
        """Of one canary, oldest first, as of now."""
        known = self._rounds.setdefault((device, backend_key, conditions_key), [])
        if known:
            known.pop()
        known += self.store.canary_rounds(device, backend_key, conditions_key, after_s=known[-1].at_s if known else None)
        return known

    def canary(self, device: str, backend_key: str, conditions_key: str) -> Canary:
        """One canary, as of now."""
        rounds = tuple(self.rounds(device, backend_key, conditions_key))
        return Canary(device, backend_key, conditions_key, rounds, epochs(rounds))


def canary(store: CanaryStore, device: str, backend_key: str, conditions_key: str) -> Canary:
    """One canary's history."""
    rounds = store.canary_rounds(device, backend_key, conditions_key)
    return Canary(device, backend_key, conditions_key, rounds, epochs(rounds))


def canaries(store: CanaryStore, device: str) -> list[Canary]:
    """All of a device's."""
    return [canary(store, device, backend_key, conditions_key) for backend_key, conditions_key in store.canaries_shown(device)]
