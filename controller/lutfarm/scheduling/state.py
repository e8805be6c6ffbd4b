"""What the controller knows of a farm at work, as a value; `after` gives the value after events.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lutfarm.agent_pool.interface import Done, Event, Measured, Opened, Probed, Waiting
from lutfarm.scheduling.job_progress import JobProgress, MeasurementProgress
from lutfarm.scheduling.policy import Care
from lutfarm.scheduling.retry import MOST_ATTEMPTS, judge
from lutfarm.scheduling.strategy import Plain, Strategy
from lutfarm.scheduling.unit import Unit
from lutfarm_jobs.errors import DeviceLost, LinkError, Retry, is_a

USE_HALVES_S = 86_400.0  # of the device time that users had, for whose turn it is: half of it is forgotten in a day


@dataclass(frozen=True, slots=True)
class FarmJob:
    """A job that runs: how far it is, in which order it is measured, whose it is."""

    progress: JobProgress
    strategy: Strategy = Plain()
    user: str = ""
    priority: int = 0
    submitted_s: float = 0.0
    served_s: Mapping[str, float] = field(default_factory=dict[str, float])  # by unit: when it last was given an order there


@dataclass(frozen=True, slots=True)
class Use:
    """Device time that a user had, as of a time: both in s."""

    spent_s: float
    as_of_s: float

    def at(self, now_s: float) -> float:
        """What of it still counts."""
        return self.spent_s * 0.5 ** (max(0.0, now_s - self.as_of_s) / USE_HALVES_S)


@dataclass(frozen=True, slots=True)
class FarmState:
    """Jobs that run, and the devices that they share."""

    units: Mapping[str, Unit] = field(default_factory=dict[str, Unit])
    jobs: Mapping[str, FarmJob] = field(default_factory=dict[str, FarmJob])
    uses: Mapping[str, Use] = field(default_factory=dict[str, Use])  # by user
    # By unit: keys that several jobs plan, and their ids; looked for once, and passed on until a job or a plan is added.
    _shared: dict[str, Mapping[str, Sequence[str]]] = field(
        repr=False, compare=False, default_factory=dict[str, Mapping[str, Sequence[str]]]
    )

    def job(self, job_id: str) -> JobProgress:
        """How far a job is."""
        return self.jobs[job_id].progress

    def used_s(self, now_s: float) -> Mapping[str, float]:
        """By user: device time that counts now, and what runs should take."""
        used = {user: use.at(now_s) for user, use in self.uses.items()}
        for unit in self.units.values():
            for user in {self.jobs[one].user for one in unit.jobs if unit.in_flight and one in self.jobs}:
                used[user] = used.get(user, 0.0) + unit.due_s
        return used

    def readers(self, event: Measured | Probed) -> Iterator[str]:
        """The jobs that a result counts for: its order's first, then those that want the same, measured in the same way.

        None where its order does not run here: nobody knows on what terms it was measured.
        """
        key = event.run.key if isinstance(event, Measured) else event.probe.key
        unit = self.units.get(unit_of(event))
        if unit is None or unit.in_flight != event.order:
            return
        mine = [owner for owner in unit.jobs if owner in self.jobs]
        yield from mine
        if isinstance(event, Measured) and event.run.status == "truncated":  # uses up a try of whose order it was
            return
        for other in self._planning(unit.name).get(key, ()):
            job = self.jobs[other].progress
            wants = other not in unit.jobs and not job.fresh and key in job.plan and job.wants(key)
            if wants and any(job.policies[unit.name] == self.job(owner).policies[unit.name] for owner in mine):
                yield other

    def _planning(self, unit: str) -> Mapping[str, Sequence[str]]:
        found = self._shared.get(unit)
        if found is None:
            planned: dict[str, list[str]] = {}
            for job_id, job in self.jobs.items():
                for m in job.progress.planned(unit):
                    planned.setdefault(m.key, []).append(job_id)
            found = self._shared[unit] = {key: ids for key, ids in planned.items() if len(ids) > 1}
        return found


def unit_of(event: Measured | Probed) -> str:
    """The unit that a result is of."""
    return event.run.device if isinstance(event, Measured) else event.probe.device


def over(job: JobProgress, units: Mapping[str, Unit]) -> bool:
    """Nothing runs for the job, and nothing more can be ordered."""
    ending = job.stopped is not None or job.time_up
    for name in job.policies:
        unit = units[name]
        if unit.in_flight and job.id in unit.jobs:
            return False
        if not ending and not unit.out and not job.finished(name) and job.wanted(name):
            return False
    return True


def left_over(job: JobProgress, units: Mapping[str, Unit]) -> tuple[str, ...]:
    """What is still wanted of units that are out of work, or that the job gave up."""
    gone = {name for name in job.policies if units[name].out or name in job.gave_up}
    return tuple(key for key, m in job.plan.items() if m.device in gone and job.wants(key))


def admitted(state: FarmState, job: FarmJob, cares: Mapping[str, Care]) -> FarmState:
    """With one more job; `cares`: how its devices are treated."""
    new = {name: Unit(name, care) for name, care in cares.items() if name not in state.units}
    known = replace(job, progress=job.progress.judged(job.progress.policies))
    return replace(state, units={**state.units, **new}, jobs={**state.jobs, known.progress.id: known}, _shared={})


def ended(state: FarmState, job_id: str) -> FarmState:
    """Without a job, and without the units that no other job may use."""
    jobs = {name: job for name, job in state.jobs.items() if name != job_id}
    used = {unit for job in jobs.values() for unit in job.progress.policies}
    units = {name: unit for name, unit in state.units.items() if name in used}
    return replace(state, jobs=jobs, units=units, _shared={})


def with_moved(state: FarmState) -> FarmState:
    """After work was added to the plans of jobs."""
    return replace(state, _shared={})


def with_job(state: FarmState, progress: JobProgress, strategy: Strategy | None = None) -> FarmState:
    """With one job as it is now."""
    job = state.jobs[progress.id]
    known = replace(job, progress=progress, strategy=strategy or job.strategy)
    return replace(state, jobs={**state.jobs, progress.id: known})


def with_jobs(state: FarmState, changed: Iterable[JobProgress]) -> FarmState:
    """With these jobs as they are now."""
    new = {job.id: job for job in changed if job is not state.jobs[job.id].progress}
    if not new:
        return state
    return replace(
        state, jobs={**state.jobs, **{job_id: replace(state.jobs[job_id], progress=job) for job_id, job in new.items()}}
    )


def with_unit(state: FarmState, unit: Unit) -> FarmState:
    """With one unit as it is now."""
    return replace(state, units={**state.units, unit.name: unit})


def ordered(
    state: FarmState, unit: str, order_id: str, *, jobs: Sequence[str], now_s: float = 0.0, due_s: float = 0.0
) -> FarmState:
    """After an order was given to a unit for these jobs; `due_s`: what it should take, where it is a round."""
    changed = replace(state.units[unit], in_flight=order_id, jobs=tuple(jobs), cancelled=False, began_s=now_s, due_s=due_s)
    served = {one: replace(state.jobs[one], served_s={**state.jobs[one].served_s, unit: now_s}) for one in jobs}
    return replace(with_unit(state, changed), jobs={**state.jobs, **served})


def cancelled(state: FarmState, unit: str) -> FarmState:
    """After the order of a unit was told to end; its Done is still to come."""
    return with_unit(state, replace(state.units[unit], cancelled=True))


def out_of_work(state: FarmState, unit: str, out: str, reason: str, *, code: str = "") -> FarmState:
    """After a unit was taken out of work; what runs on it may end."""
    return with_unit(state, replace(state.units[unit], out=out, quarantined=reason or out, code=code))


def with_lease(state: FarmState, unit: str) -> FarmState:
    """After the lease of a unit was taken."""
    return with_unit(state, replace(state.units[unit], leased=True))


def without_lease(state: FarmState, units: Iterable[str]) -> FarmState:
    """After the leases of units were given back, or passed to another: what runs there is told to end, and counts no more."""
    changed = {name: replace(state.units[name], leased=False, opened=False, cancelled=True) for name in units}
    return replace(state, units={**state.units, **changed}) if changed else state


def tried_again(state: FarmState, units: Iterable[str]) -> FarmState:
    """With those of these units that were out of work as if they were new."""
    out = [unit for name in units if (unit := state.units.get(name)) is not None and unit.out]
    fresh = {
        unit.name: replace(unit, out="", quarantined="", code="", opened=False, failures_in_a_row=0, failures={}) for unit in out
    }
    return replace(state, units={**state.units, **fresh}) if fresh else state


@dataclass(slots=True)
class _Changes:
    """Of one batch of events: what they touch is copied once."""

    state: FarmState
    units: dict[str, Unit]
    uses: dict[str, Use]
    progress_of: dict[str, dict[str, MeasurementProgress]] = field(default_factory=dict[str, dict[str, MeasurementProgress]])
    spent_s: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])  # by job and unit
    stopped: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    gave_up: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])  # by job: units, and why
    measured: dict[str, set[str]] = field(default_factory=dict[str, set[str]])  # by job: units with results
    done: dict[str, set[str]] = field(
        default_factory=dict[str, set[str]]
    )  # by job: units whose order for it, or with results for it, ended

    def result(self, event: Measured | Probed) -> None:
        """A result ends a row of failures; an opening that succeeds does not: what fails may be all that comes after it."""
        key, unit = (event.run.key if isinstance(event, Measured) else event.probe.key), unit_of(event)
        for job_id in self.state.readers(event):
            known = self.progress_of.get(job_id)
            if known is None:
                known = self.progress_of[job_id] = dict(self.state.job(job_id).progress_of)
            now = known.get(key, MeasurementProgress())
            known[key] = now.with_run(event.run) if isinstance(event, Measured) else now.with_probe(event.probe)
            self.measured.setdefault(job_id, set()).add(unit)
            if job_id not in self.units[unit].heard:
                self.units[unit] = replace(self.units[unit], heard=self.units[unit].heard | {job_id})
        works = not isinstance(event, Measured) or event.run.status != "truncated"
        now_of = self.units.get(unit)
        if works and now_of is not None and now_of.in_flight == event.order and (now_of.failures_in_a_row or now_of.failures):
            others = {job_id: count for job_id, count in now_of.failures.items() if job_id not in now_of.jobs}
            self.units[unit] = replace(now_of, failures_in_a_row=0, failures=others)

    def waits(self, event: Waiting, now_s: float) -> None:
        """An order that waits for the device's lock has not begun."""
        unit = self.units[event.unit]
        if unit.in_flight == event.order:
            self.units[unit.name] = replace(unit, began_s=now_s)

    def ended(self, event: Done, now_s: float) -> None:
        """Of the order that runs on the unit; of any other nothing follows."""
        unit = self.units[event.unit]
        if unit.in_flight != event.order:
            return
        for job_id in unit.heard.union(unit.jobs):
            self.done.setdefault(job_id, set()).add(unit.name)
        spent_s = sum(event.spent_ns.values()) / 1e9
        if event.error is not None:  # what it did until then it could not say
            spent_s = max(spent_s, now_s - unit.began_s)
        self._charge(unit, spent_s, now_s)
        due_s, took_s = unit.due_s, now_s - unit.began_s
        freed = replace(unit, in_flight=None, jobs=(), heard=frozenset(), spent_s=unit.spent_s + spent_s, due_s=0.0)
        if event.error is not None and unit.leased:  # else it says how the lease went
            self.units[unit.name] = self._failed(freed, event.error, now_s, unit.jobs)
        elif due_s:
            self.units[unit.name] = replace(
                freed, rounds_due_s=freed.rounds_due_s + due_s, rounds_took_s=freed.rounds_took_s + took_s
            )
        else:
            self.units[unit.name] = freed

    def _charge(self, unit: Unit, spent_s: float, now_s: float) -> None:
        mine = [job_id for job_id in unit.jobs if job_id in self.state.jobs]
        for job_id in mine:
            spent = self.spent_s.get(job_id)
            if spent is None:
                spent = self.spent_s[job_id] = dict(self.state.job(job_id).spent_s)
            spent[unit.name] = spent.get(unit.name, 0.0) + spent_s
            user = self.state.jobs[job_id].user
            before = self.uses.get(user, Use(0.0, now_s)).at(now_s)
            self.uses[user] = Use(before + spent_s / len(mine), now_s)

    def _failed(self, unit: Unit, error: tuple[str, str], now_s: float, jobs: Sequence[str]) -> Unit:
        code, detail = error
        failures, own = unit.failures_in_a_row + 1, {one: unit.failures.get(one, 0) + 1 for one in jobs}
        verdict = judge(code, detail, failures_in_a_row=failures)
        unit = replace(unit, failures={**unit.failures, **own})
        if verdict.action is Retry.SAME_DEVICE:
            for one in (one for one, count in own.items() if count >= MOST_ATTEMPTS):  # others' orders ended well there
                self.gave_up.setdefault(one, {})[unit.name] = f"{code}: {detail}"
            return replace(unit, failures_in_a_row=failures, not_before_s=now_s + verdict.delay_s, opened=False)
        if verdict.action is Retry.OTHER_DEVICE:
            out = "lost" if is_a(code, LinkError, DeviceLost) else "quarantined"
            return replace(unit, failures_in_a_row=failures, quarantined=f"{code}: {detail}", code=code, out=out)
        self.stopped.update(dict.fromkeys(jobs, error))
        return unit

    def applied(self) -> FarmState:
        """The state after all of them."""
        changed = {job_id: self._progress(job.progress) for job_id, job in self.state.jobs.items()}
        return with_jobs(replace(self.state, units=self.units, uses=self.uses), changed.values())

    def _progress(self, job: JobProgress) -> JobProgress:
        measured, done = self.measured.get(job.id, set[str]()), self.done.get(job.id, set[str]())
        if not (measured or done or job.id in self.stopped):
            return job
        changed = replace(
            job,
            progress_of=self.progress_of.get(job.id, job.progress_of),
            spent_s=self.spent_s.get(job.id, job.spent_s),
            gave_up={**job.gave_up, **self.gave_up.get(job.id, {})},
            stopped=self.stopped.get(job.id, job.stopped),
        )
        # Judging reads the plan by unit, which did not change: it is taken along first.
        return changed.keeping(job, but=measured | done).judged(done).keeping(changed, but=measured | done)


def after(state: FarmState, events: Sequence[Event], now_s: float) -> FarmState:
    """The state after events, in their order."""
    if not events:
        return state
    changes = _Changes(state, dict(state.units), dict(state.uses))
    for event in events:
        if isinstance(event, Measured | Probed):
            changes.result(event)
        elif isinstance(event, Opened):
            unit, hello = changes.units[event.unit], event.hello
            changes.units[event.unit] = replace(unit, opened=True, hello=hello, machine_id=hello.machine_id)
        elif isinstance(event, Done):
            changes.ended(event, now_s)
        elif isinstance(event, Waiting):
            changes.waits(event, now_s)
    return changes.applied()


def units_of(job: JobProgress, units: Mapping[str, Unit]) -> Mapping[str, Unit]:
    """Those that a job may use."""
    return {name: units[name] for name in job.policies}
