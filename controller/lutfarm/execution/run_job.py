"""The main flow: from a job to committed runs."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from lutfarm.agent_pool.interface import AgentPool, Event, Measured
from lutfarm.canary.history import CanaryHistory
from lutfarm.devices.leases import Leases, leases
from lutfarm.execution.device_sync import UnitStates
from lutfarm.execution.job_records import JobRecords
from lutfarm.execution.orders import OrderBook
from lutfarm.execution.resume import Resumed
from lutfarm.execution.task_builder import TaskBuilder
from lutfarm.records.job import Job
from lutfarm.scheduling.decide import Cancel, Step, due_seconds
from lutfarm.scheduling.state import FarmState, cancelled, ordered, resumed
from lutfarm.scheduling.turn import after_news, next_steps, without
from lutfarm.store.interface import Store
from lutfarm.submission.submission import Submission
from lutfarm_jobs.errors import from_wire

POLL_S = 0.25


class Watcher(Protocol):
    """Who is told how a job goes.  Called from the main thread, between events; what it raises ends the job there."""

    def waiting(self, unit: str, holder: str) -> None:
        """Another holder has the device."""
        ...

    def resumed(self, unit: str, found: Resumed) -> None:
        """What the store already has for a device."""
        ...

    def retrying(self, failures: int) -> None:
        """So many stored failures are measured again."""
        ...

    def preparing(self, done: int, total: int) -> None:
        """Model files of one order are being built."""
        ...

    def update(self, state: FarmState, events: Sequence[Event]) -> None:
        """After each batch of events."""
        ...


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """How a job ended; `missing` are the measurements with neither a complete run nor a failure."""

    job_id: str
    state: FarmState
    missing: tuple[str, ...]
    left: tuple[str, ...] = ()  # wanted still, of devices that are out of work


@dataclass(frozen=True, slots=True)
class Farm:
    """Everything that a job runs on."""

    store: Store
    pool: AgentPool
    task_builder: TaskBuilder
    owner: str  # see lutfarm_agents.process_identity
    holder: str  # readable, shown to others who wait

    def run(self, submission: Submission, watch: Watcher) -> JobOutcome:
        """Measure what the store does not have yet; every run is committed when it arrives.

        Raises the FarmError that stopped the job, if one did; what was committed stays.
        """
        with self._begun(submission, watch) as (records, state):
            strategy, policies = submission.strategy, submission.policies
            book = self._book(submission, records, watch)
            timeout_s = 0.0  # nothing runs yet that could send events
            measured = False
            while not state.over:
                records.held.renew()
                events = self.pool.events(timeout_s)
                now_s = time.time()
                news = records.commit(state, events, now_s, processes_of=strategy.wants_processes(state, events))
                turned = after_news(strategy, state, news, policies, now_s)
                strategy, state = turned.strategy, turned.state
                records.tell(turned, now_s)
                measured = measured or any(isinstance(event, Measured) for event in events)
                if state.over and measured:  # as `plan` and `job why` would, and the next run
                    state = records.judged_now(state)
                watch.update(state, events)
                for step in next_steps(strategy, state, policies, now_s):
                    state = self._submit(book, step, state, records.held)
                timeout_s = POLL_S
            return self._end(records.job, state)

    @contextmanager
    def _begun(self, submission: Submission, watch: Watcher) -> Generator[tuple[JobRecords, FarmState]]:
        """The job in the store, its devices busy with it, and what is known of it before the first turn."""
        began_s = time.time()
        states = UnitStates(self.store, self.holder)
        barred = states.barred(submission.devices)
        usable = [unit for unit in submission.devices if unit not in {record.unit for record in barred}]
        job_id = submission.spec.id
        with (
            leases(self.store, usable, owner=self.owner, holder=self.holder, waiting=watch.waiting, job_id=job_id) as held,
            states.at_work(usable) as barred_meanwhile,
        ):
            asked = Job(job_id, submission.spec.name, submission.spec.model_dump_json(), began_s, zeros=submission.zeros)
            job = self.store.open_job(asked, submission.plan)
            self.store.extend_plan(job.id, submission.plan)  # a pool may have other units than last time
            if submission.retry_failed:
                watch.retrying(self.store.forget_failures(job.id))
            canaries = CanaryHistory(self.store)
            records = JobRecords(self.store, job, submission, held, states, canaries, watch, began_s)
            state = submission.begun
            heard = records.last_heard(state, [*barred, *barred_meanwhile])
            yield records, resumed(without(state, heard.records), heard.progress_of)

    def _book(self, submission: Submission, records: JobRecords, watch: Watcher) -> OrderBook:
        def preparing(done: int, total: int) -> None:
            records.held.renew()  # building 64 networks takes longer than a lease lasts
            watch.preparing(done, total)

        return OrderBook(
            records.job.id,
            self.store.farm_id,
            self.store,
            records.canaries,
            self.task_builder,
            submission,
            self.holder,
            preparing,
        )

    def _submit(self, book: OrderBook, step: Step | Cancel, state: FarmState, held: Leases) -> FarmState:
        if isinstance(step, Cancel):
            self.pool.cancel(step.order)
            return cancelled(state, step.unit)
        held.renew(passed=0.05)  # what measures may have to be started first, which takes a good part of a lease
        order = book.order(step, state, held.held[step.unit])
        self.pool.submit(order)
        due_s = due_seconds(state, step, book.submission.policies[step.unit].plan)
        return ordered(state, step.unit, order.id, now_s=time.time(), due_s=due_s)

    def _end(self, job: Job, state: FarmState) -> JobOutcome:
        if state.stopped:
            code, detail = state.stopped
            self.store.close_job(job.id, "failed", f"{code}: {detail}")
            raise from_wire(code, detail)
        missing = tuple(key for key in state.plan if not state.progress(key).failed and not state.progress(key).complete)
        reasons = [f"{unit.name} was {unit.out} then: {unit.quarantined}" for unit in state.units.values() if unit.out]
        self.store.close_job(job.id, "open" if missing or state.left else "complete", "; ".join(reasons))
        return JobOutcome(job.id, state, missing, state.left)
