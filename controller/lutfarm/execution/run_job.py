"""The main flow: from a job to committed runs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from lutfarm.agent_pool.interface import AgentPool, Event, Measured, Opened, Probed, Waiting
from lutfarm.devices.leases import Leases, leases
from lutfarm.execution.device_sync import UnitStates, without
from lutfarm.execution.drift_hold import after_drift
from lutfarm.execution.orders import OrderBook
from lutfarm.execution.refused import refusals
from lutfarm.execution.resume import Resumed, resume
from lutfarm.execution.task_builder import TaskBuilder
from lutfarm.records.device_state import DeviceRecord
from lutfarm.records.job import Job
from lutfarm.scheduling.decide import due_seconds
from lutfarm.scheduling.policy import MeasuringPolicy
from lutfarm.scheduling.rebalance import reassign
from lutfarm.scheduling.resting import after_heat, after_work
from lutfarm.scheduling.state import FarmState, after, begin, ordered, resumed
from lutfarm.scheduling.stop_rule import stop_rule
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
        spec, devices, policies = submission.spec, submission.devices, submission.policies
        began_s = time.time()
        states = UnitStates(self.store, self.holder)
        barred = states.barred(devices)
        usable = [unit for unit in devices if unit not in {record.unit for record in barred}]
        with (
            leases(self.store, usable, owner=self.owner, holder=self.holder, waiting=watch.waiting, job_id=spec.id) as held,
            states.at_work(usable) as barred_meanwhile,
        ):
            barred += barred_meanwhile
            asked = Job(spec.id, spec.name, spec.model_dump_json(), began_s, zeros=submission.zeros)
            job = self.store.open_job(asked, submission.plan)
            self.store.extend_plan(job.id, submission.plan)  # a pool may have other units than last time
            if submission.retry_failed:
                watch.retrying(self.store.forget_failures(job.id))

            def preparing(done: int, total: int) -> None:
                held.renew()  # building 64 networks takes longer than a lease lasts
                watch.preparing(done, total)

            book = OrderBook(job.id, self.store, self.task_builder, devices, self.holder, policies, preparing, submission.until_s)
            state = begin(
                submission.plan,
                devices,
                rounds=spec.sampling.rounds,
                budget_s=spec.sampling.device_time_budget_s,
                shares=submission.shares,
                rule=stop_rule(spec),
                until_s=submission.until_s,
                expected_ns=submission.expected_ns,
            )
            state = without(state, barred)
            for opened in self._last_heard(barred):
                state = self._resume(submission, job, state, opened, began_s, watch)
            while not state.over:
                held.renew()
                state = self._in_time(state)
                for step in [] if state.time_up else submission.strategy.decide(state, policies, time.time()):
                    order = book.order(step, state, held.held[step.unit])
                    self.pool.submit(order)
                    due_s = due_seconds(state, step, policies[step.unit].plan)
                    state = ordered(state, step.unit, order.id, now_s=time.time(), due_s=due_s)
                events = self.pool.events(POLL_S)
                self._commit(events, held, job.id, watch)
                state, moved = reassign(after(state, events, time.time()), policies)
                if moved:
                    self.store.extend_plan(job.id, moved)
                for opened in (event for event in events if isinstance(event, Opened)):
                    state = self._resume(submission, job, state, opened, began_s, watch)
                    refused = self._refused(state, opened, policies[opened.unit])
                    self._commit(refused, held, job.id, watch)
                    state = after(state, refused, time.time())
                state = submission.strategy.settled(state, events, self.store, time.time())
                state, told = after_heat(state, events, policies, time.time())
                drifted = after_drift(self.store, events, policies, time.time())
                state = after_work(state, events, policies, time.time())
                state = states.follow(state, events, (*told, *drifted))
                watch.update(state, events)
            return self._end(job, state)

    def _in_time(self, state: FarmState) -> FarmState:
        """What runs when the time is up is cancelled; what arrived of it is kept."""
        if state.until_s is None or state.time_up or time.time() < state.until_s:
            return state
        for unit in state.units.values():
            if unit.in_flight:
                self.pool.cancel(unit.in_flight)
        return replace(state, time_up=True)

    def _resume(
        self, submission: Submission, job: Job, state: FarmState, opened: Opened, began_s: float, watch: Watcher
    ) -> FarmState:
        found = resume(
            self.store,
            job.id,
            state,
            opened,
            submission.policies[opened.unit],
            fresh_since_s=job.created_s if submission.spec.fresh else None,
            ignore_failures_before_s=began_s if submission.retry_failed else 0.0,
        )
        watch.resumed(opened.unit, found)
        return resumed(state, found.progress_of)

    def _refused(self, state: FarmState, opened: Opened, policy: MeasuringPolicy) -> list[Probed]:
        """What fails on a device without its being asked, and did not yet."""
        new = [m for key, m in state.plan.items() if not state.progress(key).failed]
        return refusals(new, opened, policy.setting, time.time())

    def _last_heard(self, barred: Sequence[DeviceRecord]) -> Iterator[Opened]:
        """What devices that may not be used said last: what the store has of them counts all the same."""
        for record in barred:
            if last := self.store.hello(record.unit):
                yield Opened("", record.unit, last[0])

    def _commit(self, events: Sequence[Event], held: Leases, job_id: str, watch: Watcher) -> None:
        for unit, lease in held.held.items():
            arrived = [event.run for event in events if isinstance(event, Measured) and event.run.unit == unit]
            if arrived:
                self.store.commit(arrived, lease, job_id)
        for event in events:
            if isinstance(event, Probed):
                self.store.commit_probe(event.probe, held.held[event.probe.unit], job_id)
            elif isinstance(event, Opened):
                self.store.put_hello(event.unit, event.hello, time.time())
            elif isinstance(event, Waiting):
                watch.waiting(event.unit, event.holder)

    def _end(self, job: Job, state: FarmState) -> JobOutcome:
        if state.stopped:
            code, detail = state.stopped
            self.store.close_job(job.id, "failed", f"{code}: {detail}")
            raise from_wire(code, detail)
        missing = tuple(key for key in state.plan if not state.progress(key).failed and not state.progress(key).complete)
        reasons = [f"{unit.name} was {unit.out} then: {unit.quarantined}" for unit in state.units.values() if unit.out]
        self.store.close_job(job.id, "open" if missing or state.left else "complete", "; ".join(reasons))
        return JobOutcome(job.id, state, missing, state.left)
