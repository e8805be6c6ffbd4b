"""The store's part in a turn of the loop: what has arrived is committed, and what the store says to it is read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from lutfarm.agent_pool.interface import Event, Measured, Opened, Probed, Waiting
from lutfarm.canary.history import Canary, CanaryHistory
from lutfarm.devices.leases import Leases
from lutfarm.execution.device_sync import UnitStates
from lutfarm.execution.refused_models import refusals
from lutfarm.execution.resume import Resumed, judged_now, own_runs, resume
from lutfarm.records.device_state import NO_WORK, DeviceRecord
from lutfarm.records.job import Job
from lutfarm.scheduling.news import News
from lutfarm.scheduling.state import FarmState, MeasurementProgress, resumed
from lutfarm.scheduling.turn import Turned
from lutfarm.statistics.comparisons.pairs import PairedProcess, process_of
from lutfarm.store.interface import Store
from lutfarm.submission.submission import Submission
from lutfarm_jobs.measurement_key import MeasurementKey


class ResumeWatcher(Protocol):
    """Who is told what the store has."""

    def waiting(self, unit: str, holder: str) -> None:
        """Another holder has the device."""
        ...

    def resumed(self, unit: str, found: Resumed) -> None:
        """What the store already has for a device."""
        ...


@dataclass(frozen=True, slots=True)
class JobRecords:
    """Of one job, while it runs; `began_s`: when this sitting did, Unix time."""

    store: Store
    job: Job
    submission: Submission
    held: Leases
    states: UnitStates
    canaries: CanaryHistory
    watch: ResumeWatcher
    began_s: float

    def last_heard(self, state: FarmState, barred: Sequence[DeviceRecord]) -> News:
        """Of devices that may not be used: what they said last.  What the store has of them counts all the same."""
        progress_of: dict[str, MeasurementProgress] = {}
        for record in barred:
            if last := self.store.hello(record.unit):
                progress_of |= self._resume(state, Opened("", record.unit, last[0])).progress_of
        return News(progress_of=progress_of, records=barred)

    def commit(self, state: FarmState, events: Sequence[Event], now_s: float, *, processes_of: Collection[str] = ()) -> News:
        """Store what has arrived; `state` does not know of it yet.  `processes_of`: units whose stored ones are read, too."""
        self._commit(events, now_s)
        opened = [event for event in events if isinstance(event, Opened)]
        progress_of: dict[str, MeasurementProgress] = {}
        refused: list[Probed] = []
        records, given_back = self.states.look(state, now_s)
        for event in opened:
            records.append(self.states.opened(event, now_s))
            progress_of |= self._resume(state, event).progress_of
            refused += self._refused(state, progress_of, event, now_s)
        self._commit(refused, now_s)
        return News(
            events=events,
            progress_of=progress_of,
            refused=refused,
            records=records,
            given_back=given_back,
            canaries=self._canaries(events, now_s),
            processes=self._processes(state, opened, processes_of),
        )

    def judged_now(self, state: FarmState) -> FarmState:
        """By what is known of the canaries now: what looked precise when it was taken may not be."""
        return resumed(state, judged_now(self.store, self.job.id, state, self.submission.policies))

    def tell(self, turned: Turned, now_s: float) -> None:
        """Store what a turn has come to."""
        if turned.moved:
            self.store.extend_plan(self.job.id, turned.moved)
        self.states.tell(turned.told, now_s)

    def _commit(self, events: Sequence[Event], now_s: float) -> None:
        for unit, lease in self.held.held.items():
            arrived = [event.run for event in events if isinstance(event, Measured) and event.run.unit == unit]
            if arrived:
                self.store.commit(arrived, lease, self.job.id)
        for event in events:
            if isinstance(event, Probed):
                self.store.commit_probe(event.probe, self.held.held[event.probe.unit], self.job.id)
            elif isinstance(event, Opened):
                self.store.put_hello(event.unit, event.hello, now_s)
            elif isinstance(event, Waiting):
                self.watch.waiting(event.unit, event.holder)

    def _resume(self, state: FarmState, opened: Opened) -> Resumed:
        spec, policies = self.submission.spec, self.submission.policies
        found = resume(
            self.store,
            self.job.id,
            state,
            opened,
            policies[opened.unit],
            fresh_since_s=self.job.created_s if spec.fresh else None,
            ignore_failures_before_s=self.began_s if self.submission.retry_failed else 0.0,
        )
        self.watch.resumed(opened.unit, found)
        return found

    def _refused(self, state: FarmState, known: Mapping[str, MeasurementProgress], opened: Opened, now_s: float) -> list[Probed]:
        """What fails on a device without its being asked, and did not yet."""
        new = [m for key, m in state.plan.items() if not known.get(key, state.progress(key)).failed]
        return refusals(new, opened, self.submission.policies[opened.unit].setting, now_s)

    def _canaries(self, events: Sequence[Event], now_s: float) -> dict[str, Canary]:
        """Of the units that are held where it drifts: the canary that went with their newest runs."""
        newest = {event.run.unit: event.run for event in events if isinstance(event, Measured)}
        holding = [unit for unit in newest if self.submission.policies[unit].hold_above is not None]
        return {
            unit: self.canaries.canary(unit, *MeasurementKey.parse(newest[unit].key).canary)
            for unit in holding
            if self.store.device_record(unit, now_s).state not in NO_WORK
        }

    def _processes(
        self, state: FarmState, opened: Sequence[Opened], units: Collection[str]
    ) -> Mapping[str, Mapping[str, PairedProcess]]:
        found: dict[str, dict[str, PairedProcess]] = {}
        hellos = {name: unit.hello for name, unit in state.units.items()} | {event.unit: event.hello for event in opened}
        for unit in units:
            if hello := hellos[unit]:
                for run in own_runs(self.store, self.job.id, state, unit, hello, self.submission.policies[unit]):
                    found.setdefault(run.key, {})[run.id] = process_of(run)
        return found
