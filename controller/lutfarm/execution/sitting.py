"""A farm at work: any number of jobs, and one turn of the loop after the other."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from lutfarm.agent_pool.interface import AgentPool, Event, Measured, Opened, Order, Probed, Waiting
from lutfarm.canary.history import CanaryHistory
from lutfarm.devices.leases import Leases
from lutfarm.execution.device_sync import UnitStates
from lutfarm.execution.held_devices import HeldDevices
from lutfarm.execution.intake_note import Taking, unnoted
from lutfarm.execution.job_records import FarmRecords, JobRecords
from lutfarm.execution.orders import OrderBook
from lutfarm.execution.resume import Resumed, judged_now
from lutfarm.execution.task_builder import TaskBuilder
from lutfarm.records.job import Job
from lutfarm.scheduling.decide import is_full
from lutfarm.scheduling.job_progress import JobProgress, resumed
from lutfarm.scheduling.next_step import due_seconds
from lutfarm.scheduling.state import (
    FarmJob,
    FarmState,
    admitted,
    cancelled,
    ended,
    ordered,
    over,
    tried_again,
    with_job,
    without_lease,
)
from lutfarm.scheduling.steps import Cancel, Open, Step
from lutfarm.scheduling.turn import after_news, next_steps, without
from lutfarm.scheduling.unit import Unit
from lutfarm.store.interface import Store
from lutfarm.submission.submission import Submission
from lutfarm_jobs.errors import FarmError, RunnerBug, SpecError, StoreError
from lutfarm_jobs.sources import Sources

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

    def __init__(self, store: Store, pool: AgentPool, models: Path, *, owner: str, holder: str, taking: Taking = unnoted) -> None:
        """`models`: where model files are built; `owner`, `holder`: see Farm; `taking`: around what may end the process."""
        self.state, self.taking = FarmState(), taking
        self._store, self._pool, self._models, self._holder = store, pool, models, holder
        leases, states = Leases(store), UnitStates(store, holder)
        self._devices = HeldDevices(leases, states, pool, owner, holder)
        self._records = FarmRecords(store, leases, states, CanaryHistory(store))
        self._books: dict[str, OrderBook] = {}
        self._watchers: dict[str, Watcher] = {}
        self._measured: set[str] = set()  # jobs that have runs which were judged only as they arrived
        self._timeout_s = 0.0  # of the next turn: nothing runs yet that could send events

    def admit(self, submission: Submission, sources: Sources, watch: Watcher) -> None:
        """One more job: in the store, and its devices busy that nobody else has; the others are asked for again in each turn.

        Raises SpecError where the job runs already.
        """
        if submission.spec.id in self.state.jobs:
            raise SpecError(f"job {submission.spec.id} runs already; wait until it has ended")
        with ExitStack() as undo:
            undo.callback(self._records.jobs.pop, submission.spec.id, None)
            undo.callback(lambda: self._devices.give_back(set(submission.devices) - set(self.state.units)))
            self._admit(submission, sources, watch)
            undo.pop_all()

    def _admit(self, submission: Submission, sources: Sources, watch: Watcher) -> None:
        began_s, job_id = time.time(), submission.spec.id
        records = self._records
        barred = records.states.barred(submission.devices)
        asked = Job(
            job_id,
            submission.spec.name,
            submission.spec.model_dump_json(),
            began_s,
            zeros=submission.zeros,
            user=submission.user,
            priority=submission.priority,
        )
        job = self._store.open_job(asked, submission.plan)
        self._store.extend_plan(job.id, submission.plan)  # a pool may have other units than last time
        if submission.retry_failed:
            watch.retrying(self._store.forget_failures(job.id))
        mine = JobRecords(self._store, job, submission, watch, began_s)
        begun = FarmJob(submission.begun, submission.strategy, submission.user, submission.priority, submitted_s=job.created_s)
        cares = {unit: policy.care for unit, policy in submission.policies.items()}
        new = set(cares) - set(self.state.units)
        usable = set(submission.devices) - {record.device for record in barred}
        known = tried_again(self.state, usable)  # whoever was out of work for another job, and may be used now
        state = without(without_lease(admitted(known, begun, cares), new), barred)
        state = with_job(state, resumed(state.job(job.id), mine.last_heard(state.job(job.id), barred)))
        # Devices that are open already will say nothing of themselves again.
        news = records.joined(state, mine, began_s)
        self._devices.lose(news.lost)
        turned = after_news(state, news, began_s)
        records.jobs[job.id] = mine
        self.state = records.last_heard(*self._devices.taken(turned.state, waiting=records.waiting))
        records.tell(turned, began_s)
        self._books[job.id] = self._book(mine, sources, watch)
        self._watchers[job.id] = watch

    def turn(self) -> None:
        """Events, commit, after, decide, submit."""
        self.state = self._devices.renewed(self.state)
        events = self._pool.events(self._timeout_s)
        now_s = time.time()
        news = self._records.commit(self.state, events, now_s)
        for unit, run_ids in news.settled.items():
            self._pool.acknowledge(unit, run_ids)
        self._devices.lose(news.lost)
        heard = {job_id: list[Event]() for job_id in self.state.jobs}
        for event in news.events:
            for job_id in concerned(self.state, event):
                heard[job_id].append(event)
        self._measured.update(job_id for job_id, mine in heard.items() if any(isinstance(event, Measured) for event in mine))
        turned = after_news(self.state, news, now_s)
        self.state = turned.state
        self._records.tell(turned, now_s)
        for job_id in self._measured.intersection(self.over()):  # as `plan` and `job why` would, and the next run
            self.state = with_job(self.state, judged_now(self._store, self.state.job(job_id), self.state.units))
            self._measured.discard(job_id)
        self.state = self._records.last_heard(*self._devices.exchanged(self.state, waiting=self._records.waiting))
        for job_id, watch in self._watchers.items():
            job = self.state.job(job_id)
            watch.update(job, self.units_of(job), heard[job_id])
        steps = next_steps(self.state, now_s)
        for step in steps:
            self._submit(step)
        self._timeout_s = 0.0 if is_full(steps) else POLL_S  # more may be idle

    def over(self) -> Collection[str]:
        """The ids of jobs for which nothing runs and nothing more can be ordered."""
        return [job_id for job_id, job in self.state.jobs.items() if over(job.progress, self.state.units)]

    def units_of(self, job: JobProgress) -> Mapping[str, Unit]:
        """Those that a job may use."""
        return {name: self.state.units[name] for name in job.policies}

    def withdraw(self, job_id: str) -> None:
        """End a job: what runs for it is cancelled, and it is over once that has ended."""
        self.state = with_job(self.state, replace(self.state.job(job_id), time_up=True))

    def leave(self, job_id: str) -> None:
        """Without a job that is over; devices that no other job uses are given back.  Raises RunnerBug for one that is not."""
        if job_id not in self.over():
            raise RunnerBug(f"job {job_id} is not over: withdraw it first")
        before = set(self.state.units)
        self.state = ended(self.state, job_id)
        del self._records.jobs[job_id], self._books[job_id], self._watchers[job_id]
        self._devices.give_back(before.difference(self.state.units))

    def close(self) -> None:
        """Every device is given back; what runs is the pool's to end."""
        self._devices.close()

    def _book(self, mine: JobRecords, sources: Sources, watch: Watcher) -> OrderBook:
        def preparing(done: int, total: int) -> None:
            self.state = self._devices.renewed(self.state)  # building 64 networks takes longer than a lease lasts
            watch.preparing(done, total)

        builder = TaskBuilder(self._models, sources)
        store, canaries = self._store, self._records.canaries
        return OrderBook(store.farm_id, mine.job, store, canaries, builder, mine.submission, self._holder, preparing)

    def _submit(self, step: Step | Cancel) -> None:
        if isinstance(step, Cancel):
            self._pool.cancel(step.order)
            self.state = cancelled(self.state, step.unit)
            return
        if self.state.job(step.job).stopped:  # by an order of this turn
            return
        # What measures may have to be started first, which takes a good part of a lease.
        self.state = self._devices.renewed(self.state, [step.unit], passed=0.05)
        if not self.state.units[step.unit].leased:
            return
        self.state = self._devices.held_for(self.state, step.unit, step.job)
        order = self._order(step)
        if order is None:
            return
        self._pool.submit(order)
        due_s = due_seconds(self.state.job(step.job), step)
        self.state = ordered(self.state, step.unit, order.id, jobs=[step.job], now_s=time.time(), due_s=due_s)

    def _order(self, step: Step) -> Order | None:
        """None where the job is stopped by it, or the device passed to another before it could begin."""
        job, lease = self.state.job(step.job), self._devices.leases.held.get(step.unit)
        if lease is None:
            return None
        try:
            with unnoted(job.id, "built") if isinstance(step, Open) else self.taking(job.id, "built"):
                order = self._books[job.id].order(step, job, self.state.units[step.unit].hello, lease)
        except StoreError:
            raise
        except FarmError as error:  # of this job alone, or of what it wants to be built
            self.state = with_job(self.state, replace(self.state.job(job.id), stopped=(error.code, error.detail)))
            return None
        return order if self.state.units[step.unit].leased else None


def concerned(state: FarmState, event: Event) -> Iterable[str]:
    """Whom an event is of: a result counts for them, their own order says it, or a device of theirs has opened."""
    if isinstance(event, Measured | Probed):
        return state.readers(event)
    unit = state.units[event.unit]
    if unit.in_flight == event.order and not isinstance(event, Opened | Waiting):
        return (job_id for job_id in unit.jobs if job_id in state.jobs)
    return (job_id for job_id, job in state.jobs.items() if event.unit in job.progress.policies)
