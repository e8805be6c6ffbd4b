"""The store's part in a turn of the loop: what has arrived is committed, and what the store says to it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lutfarm.agent_pool.interface import Event, Measured, Opened, Probed, Waiting
from lutfarm.canary.history import Canary, CanaryHistory
from lutfarm.devices.leases import Leases
from lutfarm.execution.arrivals import Arrivals
from lutfarm.execution.device_sync import UnitStates
from lutfarm.execution.refused_models import refusals
from lutfarm.execution.resume import Resumed, own_runs, resume
from lutfarm.records.device_state import NO_WORK, DeviceRecord
from lutfarm.records.job import Job
from lutfarm.scheduling.job_progress import JobProgress, MeasurementProgress, resumed
from lutfarm.scheduling.news import News
from lutfarm.scheduling.state import FarmState, with_job
from lutfarm.scheduling.turn import Turned
from lutfarm.statistics.comparisons.pairs import PairedRound, paired_round
from lutfarm.store.interface import Store
from lutfarm.submission.submission import Submission
from lutfarm_jobs.measurement_key import MeasurementKey


class ResumeWatcher(Protocol):
    """Who is told what the store has."""

    def waiting(self, device: str, holder: str) -> None:
        """Another holder has the device."""
        ...

    def resumed(self, device: str, found: Resumed) -> None:
        """What the store already has for a device."""
        ...


@dataclass(frozen=True, slots=True)
class JobRecords:
    """Of one job, while it runs; `began_s`: when this sitting of it did, Unix time."""

    store: Store
    job: Job
    submission: Submission
    watch: ResumeWatcher
    began_s: float

    def last_heard(self, job: JobProgress, barred: Sequence[DeviceRecord]) -> Mapping[str, MeasurementProgress]:
        """What the store has of devices that may not be used, by what they said last: it counts all the same."""
        progress_of: dict[str, MeasurementProgress] = {}
        for record in barred:
            if last := self.store.hello(record.device):
                progress_of |= self.resume(job, Opened("", record.device, last[0]))
        return progress_of

    def resume(self, job: JobProgress, opened: Opened) -> Mapping[str, MeasurementProgress]:
        """What the store has of a unit that has opened."""
        found = resume(
            self.store,
            job,
            opened,
            fresh_since_s=self.job.created_s if job.fresh else None,
            ignore_failures_before_s=self.began_s if self.submission.retry_failed else 0.0,
        )
        self.watch.resumed(opened.unit, found)
        return found.progress_of

    def answered(
        self, job: JobProgress, opened: Sequence[Opened], now_s: float
    ) -> tuple[dict[str, MeasurementProgress], list[Probed]]:
        """What the store has of those of its units that have opened, and what fails on them without their being asked."""
        progress_of: dict[str, MeasurementProgress] = {}
        refused: list[Probed] = []
        for event in opened:
            if event.unit in job.policies:
                known = self.resume(job, event)
                progress_of |= known
                new = [m for key, m in job.plan.items() if not known.get(key, job.progress(key)).failed]
                refused += refusals(new, event, job.policies[event.unit].setting, now_s)
        return progress_of, refused


@dataclass(frozen=True, slots=True)
class FarmRecords:
    """Of all jobs that run."""

    store: Store
    held: Leases
    states: UnitStates
    canaries: CanaryHistory
    jobs: dict[str, JobRecords] = field(default_factory=dict[str, JobRecords])

    def joined(self, state: FarmState, mine: JobRecords, now_s: float) -> News:
        """For a job that was just admitted: what the store has of devices that are open already."""
        job_id = mine.job.id
        opened = [Opened("", unit.name, unit.hello) for unit in state.units.values() if unit.opened and unit.hello]
        progress_of, refused = mine.answered(state.job(job_id), opened, now_s)
        arrivals = Arrivals(self.store, self.held, state)
        stored = _stored(arrivals, refused, job_id)
        rounds = self._paired_rounds(state, opened, only=job_id)
        return News(progress_of={job_id: progress_of}, refused={job_id: stored}, paired_rounds=rounds, lost=arrivals.lost)

    def commit(self, state: FarmState, events: Sequence[Event], now_s: float) -> News:
        """Store what has arrived; `state` does not know of it yet.

        What arrives of a device whose lease is another's by now, or that no job here has ordered, is dropped and counted.
        """
        arrivals = Arrivals(self.store, self.held, state)
        kept = arrivals.commit(events, now_s)
        self._tell_waiting(kept)
        opened = [event for event in kept if isinstance(event, Opened)]
        records, again = self.states.look(state, now_s)
        records += [self.states.opened(event, now_s) for event in opened]
        answers = {job_id: each.answered(state.job(job_id), opened, now_s) for job_id, each in self.jobs.items()}
        refused = {job_id: _stored(arrivals, probes, job_id) for job_id, (_, probes) in answers.items()}
        return News(
            events=kept,
            progress_of={job_id: known for job_id, (known, _) in answers.items()},
            refused=refused,
            records=records,
            given_back=again,
            lost=arrivals.lost,
            dropped=arrivals.dropped,
            settled=arrivals.settled,
            canaries=self._canaries(state, kept, now_s),
            paired_rounds=self._paired_rounds(state, kept),
        )

    def tell(self, turned: Turned, now_s: float) -> None:
        """Store what a turn has come to."""
        for job_id, moved in turned.moved.items():
            self.store.extend_plan(job_id, moved)
        self.states.tell(turned.told, now_s)

    def last_heard(self, state: FarmState, barred: Sequence[DeviceRecord]) -> FarmState:
        """With what the store has of devices that turned out to be out of work, for all jobs that may use them."""
        for job_id, mine in self.jobs.items() if barred else ():
            job = state.job(job_id)
            state = with_job(state, resumed(job, mine.last_heard(job, [each for each in barred if each.device in job.policies])))
        return state

    def _tell_waiting(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, Waiting):
                self.waiting(event.unit, event.holder)

    def waiting(self, unit: str, holder: str) -> None:
        """Tell whoever has use for a device that another has it."""
        for each in self.jobs.values():
            if unit in each.submission.policies:
                each.watch.waiting(unit, holder)

    def _canaries(self, state: FarmState, events: Sequence[Event], now_s: float) -> dict[str, Canary]:
        """Of the units that are held where it drifts: the canary that went with their newest runs."""
        newest = {event.run.device: event.run for event in events if isinstance(event, Measured)}
        holding = [unit for unit in newest if state.units[unit].care.hold_above is not None]
        return {
            unit: self.canaries.canary(unit, *MeasurementKey.parse(newest[unit].key).canary)
            for unit in holding
            if self.store.device_record(unit, now_s).state not in NO_WORK
        }

    def _paired_rounds(
        self, state: FarmState, events: Sequence[Event], *, only: str | None = None
    ) -> Mapping[str, Mapping[str, Mapping[str, PairedRound]]]:
        """By job: what strategies ask for."""
        found: dict[str, dict[str, dict[str, PairedRound]]] = {}
        hellos = {name: unit.hello for name, unit in state.units.items()}
        hellos |= {event.unit: event.hello for event in events if isinstance(event, Opened)}
        for job_id, job in state.jobs.items():
            if only not in (None, job_id):
                continue
            for unit in job.strategy.wants_rounds(job.progress, state.units, events):
                if hello := hellos[unit]:
                    for run in own_runs(self.store, job.progress, unit, hello):
                        found.setdefault(job_id, {}).setdefault(run.key, {})[run.id] = paired_round(run)
        return found


def _stored(arrivals: Arrivals, probes: Sequence[Probed], job_id: str) -> list[Probed]:
    return [event for event in probes if arrivals.commit_probe(event.probe, job_id)]
