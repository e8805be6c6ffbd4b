"""What has arrived from devices: committed under their leases, or dropped and counted."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Sequence
from dataclasses import dataclass, field

from lutfarm.agent_pool.interface import Event, Measured, Opened, Probed
from lutfarm.devices.leases import Leases
from lutfarm.scheduling.state import FarmState, unit_of
from lutfarm.store.interface import DevicesAndRuns
from lutfarm_jobs.errors import LeaseLost, StoreError
from lutfarm_jobs.run import Probe


@dataclass(slots=True)
class Arrivals:
    """Of one turn; `state` does not know of them yet."""

    store: DevicesAndRuns
    held: Leases
    state: FarmState
    lost: list[str] = field(default_factory=list[str])  # units whose lease has passed to another, as the store has said
    dropped: Counter[str] = field(default_factory=Counter[str])  # by unit: results that were not stored

    def commit(self, events: Sequence[Event], now_s: float) -> list[Event]:
        """Store them; those that count.

        A result of a device whose lease is another's by now is dropped, and one that no job here has ordered.  The end of an
        order always counts.
        """
        runs: defaultdict[tuple[str, str], list[Measured]] = defaultdict(list)
        for event in events:
            if isinstance(event, Measured) and (readers := self._readers(event)):
                runs[event.run.device, readers[0]].append(event)
        stored = {
            event.run.id
            for (unit, job_id), arrived in runs.items()
            if self._commit_runs(unit, job_id, arrived)
            for event in arrived
        }
        kept: list[Event] = []
        for event in events:
            if self._counts(event, stored):
                kept.append(event)
            elif isinstance(event, Measured | Probed):
                self.dropped[unit_of(event)] += 1
        for event in kept:
            if isinstance(event, Opened):
                self.store.put_hello(event.unit, event.hello, now_s)
        return kept

    def _counts(self, event: Event, stored: Container[str]) -> bool:
        """Stores a probe."""
        if isinstance(event, Measured):
            return event.run.id in stored
        if isinstance(event, Probed):
            readers = self._readers(event)
            return bool(readers) and all(self.commit_probe(event.probe, job_id) for job_id in readers)
        return not isinstance(event, Opened) or event.unit in self.held.held

    def commit_probe(self, probe: Probe, job_id: str) -> bool:
        """Whether it could be stored."""
        lease = self.held.held.get(probe.device)
        if lease is None:
            return False
        try:
            self.store.commit_probe(probe, lease, job_id)
        except LeaseLost:  # of this device alone
            self._lose(probe.device)
            return False
        return True

    def _commit_runs(self, unit: str, job_id: str, events: Sequence[Measured]) -> bool:
        """Under the job that ordered them; others that read them adopt them."""
        lease = self.held.held.get(unit)
        if lease is None:
            return False
        try:
            self.store.commit([event.run for event in events], lease, job_id)
        except LeaseLost:  # of this device alone
            self._lose(unit)
            return False
        adopted: defaultdict[str, list[str]] = defaultdict(list)
        for event in events:
            for other in self._readers(event)[1:]:
                adopted[other].append(event.run.id)
        for other, ids in adopted.items():
            if gone := self.store.adopt(other, ids):  # though no job is removed whose lease is in force
                raise StoreError(f"{len(gone)} runs of {unit} are gone that were stored a moment ago; run job {other} again")
        return True

    def _readers(self, event: Measured | Probed) -> list[str]:
        return list(self.state.readers(event)) if unit_of(event) in self.held.held else []

    def _lose(self, unit: str) -> None:
        self.held.forget(unit)
        self.lost.append(unit)
