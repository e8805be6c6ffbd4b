"""A farm at work: any number of jobs, and one turn of the loop after the other."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from lutfarm.agent_pool.interface import AgentPool, Event, Measured, Probed
from lutfarm.canary.history import CanaryHistory
from lutfarm.devices.leases import Leases
from lutfarm.execution.device_sync import UnitStates
from lutfarm.execution.job_records import FarmRecords, JobRecords
from lutfarm.execution.orders import OrderBook
from lutfarm.execution.resume import Resumed, judged_now
from lutfarm.execution.task_builder import TaskBuilder
from lutfarm.records.job import Job
from lutfarm.scheduling.job_progress import JobProgress, resumed
from lutfarm.scheduling.next_step import due_seconds
from lutfarm.scheduling.state import FarmJob, FarmState, admitted, cancelled, ended, ordered, over, with_job
from lutfarm.scheduling.steps import Cancel, Step
from lutfarm.scheduling.turn import after_news, next_steps, without
from lutfarm.scheduling.unit import Unit
from lutfarm.store.interface import Store
from lutfarm.submission.submission import Submission
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.expand import Sources

POLL_S = 0.25


class Watcher(Protocol):
    """Who is told how a job goes.  Called from the main thread, between events; what it raises ends the sitting there."""

    def waiting(self, device: str, holder: str) -> None:
        """Another holder has the device."""
        ...

    def resumed(self, device: str, found: Resumed) -> None:
        """What the store already has for a device."""
        ...

    def retrying(self, failures: int) -> None:
        """So many stored failures are measured again."""
        ...

    def preparing(self, done: int, total: int) -> None:
        """Model files of one order are being built."""
        ...

    def update(self, job: JobProgress, units: Mapping[str, Unit], events: Sequence[Event]) -> None:
        """After each batch of events; `units`: those that the job may use."""
        ...


class Sitting:
    """Jobs that share devices, from the first that is admitted until it is closed.  To be used from one thread."""

    def __init__(self, store: Store, pool: AgentPool, models: Path, *, owner: str, holder: str) -> None:
        """`models`: where model files are built; `owner`, `holder`: see Farm."""
        self.state = FarmState()
        self._store, self._pool, self._models = store, pool, models
        self._owner, self._holder = owner, holder
        self._records = FarmRecords(store, Leases(store), UnitStates(store, holder), CanaryHistory(store))
        self._books: dict[str, OrderBook] = {}
        self._watchers: dict[str, Watcher] = {}
        self._measured: set[str] = set()  # jobs that have runs which were judged only as they arrived
        self._timeout_s = 0.0  # of the next turn: nothing runs yet that could send events

    def admit(self, submission: Submission, sources: Sources, watch: Watcher) -> None:
        """One more job: in the store, its devices held and busy.  Waits for devices that others have."""
        began_s, job_id = time.time(), submission.spec.id
        states, records = self._records.states, self._records
        barred = states.barred(submission.devices)
        usable = sorted(
            set(submission.devices) - {record.device for record in barred}
        )  # by name: no two jobs wait for each other
        for unit in usable:
            records.held.take(unit, owner=self._owner, holder=self._holder, waiting=watch.waiting, job_id=job_id)
        barred += states.begin(usable)
        asked = Job(job_id, submission.spec.name, submission.spec.model_dump_json(), began_s, zeros=submission.zeros)
        job = self._store.open_job(asked, submission.plan)
        self._store.extend_plan(job.id, submission.plan)  # a pool may have other units than last time
        if submission.retry_failed:
            watch.retrying(self._store.forget_failures(job.id))
        mine = JobRecords(self._store, job, submission, watch, began_s)
        begun = FarmJob(submission.begun, submission.strategy, submitted_s=began_s)
        cares = {unit: policy.care for unit, policy in submission.policies.items()}
        state = without(admitted(self.state, begun, cares), barred)
        heard = mine.last_heard(state.job(job.id), barred)
        self.state = with_job(state, resumed(state.job(job.id), heard))
        records.jobs[job.id] = mine
        self._books[job.id] = self._book(mine, sources, watch)
        self._watchers[job.id] = watch

    def turn(self) -> None:
        """Events, commit, after, decide, submit."""
        self._records.held.renew()
        events = self._pool.events(self._timeout_s)
        now_s = time.time()
        news = self._records.commit(self.state, events, now_s)
        self._measured.update(job_id for event in events if isinstance(event, Measured) for job_id in self.state.readers(event))
        turned = after_news(self.state, news, now_s)
        self.state = turned.state
        self._records.tell(turned, now_s)
        for job_id in self._measured.intersection(self.over()):  # as `plan` and `job why` would, and the next run
            self.state = with_job(self.state, judged_now(self._store, self.state.job(job_id), self.state.units))
            self._measured.discard(job_id)
        for job_id, watch in self._watchers.items():
            job = self.state.job(job_id)
            mine = [event for event in events if _concerns(event, job)]
            watch.update(job, self.units_of(job), mine)
        for step in next_steps(self.state, now_s):
            self._submit(step)
        self._timeout_s = POLL_S

    def over(self) -> Collection[str]:
        """The ids of jobs for which nothing runs and nothing more can be ordered."""
        return [job_id for job_id, job in self.state.jobs.items() if over(job.progress, self.state.units)]

    def units_of(self, job: JobProgress) -> Mapping[str, Unit]:
        """Those that a job may use."""
        return {name: self.state.units[name] for name in job.policies}

    def leave(self, job_id: str) -> None:
        """Without a job that is over; devices that no other job uses are given back."""
        before = set(self.state.units)
        self.state = ended(self.state, job_id)
        del self._records.jobs[job_id], self._books[job_id], self._watchers[job_id]
        self._give_back(before.difference(self.state.units))

    def close(self) -> None:
        """Every device is given back; what runs is the pool's to end."""
        self._records.states.end()
        self._records.held.release()

    def _give_back(self, units: Collection[str]) -> None:
        self._records.states.end(units)
        self._records.held.release(units)

    def _book(self, mine: JobRecords, sources: Sources, watch: Watcher) -> OrderBook:
        def preparing(done: int, total: int) -> None:
            self._records.held.renew()  # building 64 networks takes longer than a lease lasts
            watch.preparing(done, total)

        builder = TaskBuilder(self._models, sources)
        return OrderBook(
            self._store.farm_id, self._store, self._records.canaries, builder, mine.submission, self._holder, preparing
        )

    def _submit(self, step: Step | Cancel) -> None:
        if isinstance(step, Cancel):
            self._pool.cancel(step.order)
            self.state = cancelled(self.state, step.unit)
            return
        held, job, unit = self._records.held, self.state.job(step.job), self.state.units[step.unit]
        held.renew(passed=0.05)  # what measures may have to be started first, which takes a good part of a lease
        try:
            order = self._books[job.id].order(step, job, unit.hello, held.held[unit.name])
        except SpecError as error:  # of this job alone
            self.state = with_job(self.state, replace(job, stopped=(error.code, error.detail)))
            return
        self._pool.submit(order)
        self.state = ordered(self.state, unit.name, order.id, jobs=[job.id], now_s=time.time(), due_s=due_seconds(job, step))


def _concerns(event: Event, job: JobProgress) -> bool:
    unit = event.run.device if isinstance(event, Measured) else event.probe.device if isinstance(event, Probed) else event.unit
    return unit in job.policies
