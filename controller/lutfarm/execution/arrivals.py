"""What has arrived from devices: committed under their leases, or dropped and counted."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace

from lutfarm.agent_pool.interface import Event, Left, Measured, Opened, Probed, Remarked
from lutfarm.devices.leases import Leases
from lutfarm.records.ordered import Ordered
from lutfarm.scheduling.retry import killed_once
from lutfarm.scheduling.state import FarmState, unit_of
from lutfarm.store.interface import DevicesAndRuns
from lutfarm_jobs.errors import LeaseLost, StoreError
from lutfarm_jobs.run import Probe

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Arrivals:
    """Of one turn; `state` does not know of them yet."""

    store: DevicesAndRuns
    held: Leases
    state: FarmState
    lost: list[str] = field(default_factory=list[str])  # units whose lease has passed to another, as the store has said
    settled: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """By unit: ids of runs that are stored, or never can be."""
    dropped: Counter[str] = field(default_factory=Counter[str])  # by unit: results that were not stored

    def commit(self, events: Sequence[Event], now_s: float) -> list[Event]:
        """Store them; those that count.

        A result of a device whose lease is another's by now is dropped, and one that no job here has ordered.  The end of an
        order always counts.
        """
        events = [self._once_more(event) for event in events]
        self._commit_left([event for event in events if isinstance(event, Left)])
        for event in events:
            if isinstance(event, Remarked):
                log.warning(event.remark, extra={"device": event.unit})
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
        for event in events:
            if isinstance(event, Measured) and event.run.id in stored:
                self.settled[event.run.device].append(event.run.id)
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

    def _once_more(self, event: Event) -> Event:
        if not isinstance(event, Measured) or not (readers := self._readers(event)):
            return event
        run = event.run
        if not killed_once(run, self.state.job(readers[0]).progress(run.key)):
            return event
        said = run.failure.detail if run.failure else ""
        log.warning("%s: %s; it is measured once more", run.key, said, extra={"job": readers[0], "device": run.device})
        return replace(event, run=replace(run, status="truncated", failure=None))

    def _counts(self, event: Event, stored: Container[str]) -> bool:
        """Stores a probe."""
        if isinstance(event, Measured):
            return event.run.id in stored
        if isinstance(event, Probed):
            readers = self._readers(event)
            return bool(readers) and all(self.commit_probe(event.probe, job_id) for job_id in readers)
        if isinstance(event, Left | Remarked):  # what was left counts for whoever looks in the store once its device has opened
            return False
        return not isinstance(event, Opened) or event.unit in self.held.held

    def _commit_left(self, events: Sequence[Left]) -> None:
        """What hosts have kept of earlier orders: stored where that is still allowed, for their jobs, whether or not they run."""
        by_order: defaultdict[tuple[str, Ordered], list[Left]] = defaultdict(list)
        for event in events:
            by_order[event.unit, event.ordered].append(event)
        for (unit, ordered), left in sorted(by_order.items(), key=lambda item: item[0][1].token):  # one closes the door on older
            lease = self.held.held.get(unit)
            if lease is None:
                continue
            try:
                answers = self.store.commit_left([event.run for event in left], ordered, lease)
            except LeaseLost:  # whoever has it fetches them
                self._lose(unit)
                continue
            self.settled[unit] += answers
            counts = Counter(answers.values())
            said = {"job": ordered.job_id, "device": unit, **{answer.replace(" ", "_"): n for answer, n in counts.items()}}
            log.info("results that were left on the host", extra=said)
            self.dropped[unit] += counts["fenced"]
            if refused := counts["fenced"] + counts["no job"]:
                log.warning("%s: %d results that were left on its host came too late", unit, refused, extra=said)

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
