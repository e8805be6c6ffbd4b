"""What the controller knows of one job, as a value; `after` gives the value after events.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lutfarm.agent_pool.interface import Done, Event, Measured, Opened, Probed
from lutfarm.scheduling.retry import judge
from lutfarm.scheduling.work_sharing import Share
from lutfarm.statistics.estimates.precision import ProcessEstimate, Reached, StopRule, process_estimate_of, reached, rounds_needed
from lutfarm_agents.device import Hello
from lutfarm_jobs.errors import DeviceLost, LinkError, Retry, is_a
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.run import Failure, Probe, Run

_Plan = tuple[Measurement, ...]
PACE_KNOWN_S = 2.0  # of rounds: what the pace of one that was never seen weighs


@dataclass(frozen=True, slots=True)
class MeasurementProgress:
    """How far one measurement is."""

    probe: Probe | None = None
    complete: int = 0
    truncated: int = 0
    failed: bool = False
    failure: Failure | None = None  # why, where that is known
    estimates: tuple[ProcessEstimate, ...] = ()  # of its complete runs, where there was a quiet slice

    def with_run(self, run: Run) -> MeasurementProgress:
        """After one more run."""
        if run.status == "failed":
            return replace(self, failed=True, failure=run.failure)
        if run.status == "truncated":
            return replace(self, truncated=self.truncated + 1)
        estimate = process_estimate_of(run)
        return replace(self, complete=self.complete + 1, estimates=(*self.estimates, *([estimate] if estimate else [])))

    def with_probe(self, probe: Probe) -> MeasurementProgress:
        """After a probe; a failed one is the measurement's result."""
        failure = self.failure or probe.failure
        return replace(self, probe=probe, failed=self.failed or failure is not None, failure=failure)


@dataclass(frozen=True, slots=True)
class Unit:
    """One device of the job."""

    name: str
    machine_id: str = ""  # known once it said hello
    hello: Hello | None = None
    opened: bool = False
    in_flight: str | None = None  # order id
    cancelled: bool = False  # ... which was told to end
    failures_in_a_row: int = 0
    not_before_s: float = 0.0  # back-off
    quarantined: str = ""  # why it is out of work, or empty
    code: str = ""  # the class of the error that it is out of work for, where it is one
    out: str = ""  # the state in which it is out of work: quarantined, lost, ...
    hot_since_s: float | None = None  # it rests until it is cool
    spent_s: float = 0.0  # device time of this job so far
    began_s: float = 0.0  # of the round in flight, Unix time
    due_s: float = 0.0  # what the round in flight should take on a quiet machine; 0: it is no round
    rounds_due_s: float = 0.0  # ... all rounds that ended well should have taken
    rounds_took_s: float = 0.0  # and took, on the wall

    @property
    def pace(self) -> float:
        """How many times longer rounds take here, now, than on a quiet machine; drawn towards 1 while few are known."""
        return (PACE_KNOWN_S + self.rounds_took_s) / (PACE_KNOWN_S + self.rounds_due_s)


@dataclass(frozen=True, slots=True)
class FarmState:
    """One job: its plan, how far each measurement is, how its devices are."""

    plan: Mapping[str, Measurement]  # by key, in the job's order
    rounds: int  # complete runs wanted of each, at most if there is a rule
    progress_of: Mapping[str, MeasurementProgress]
    units: Mapping[str, Unit]
    budget_s: float | None = None  # device time for each unit
    stopped: tuple[str, str] | None = None  # an error that ends the job: (code, detail)
    until_s: float | None = None  # Unix time at which it ends, done or not
    time_up: bool = False  # that time came
    expected_ns: Mapping[str, float] = field(default_factory=dict[str, float])  # by key: a first guess at an iteration
    shares: tuple[Share, ...] = ()  # pools whose units share the work
    rule: StopRule | None = None  # None: `rounds` of each, however precise
    reached: Mapping[str, Reached] = field(default_factory=dict[str, Reached])  # by key, as of the last round
    # By unit, made when first asked for; what an event does not change passes on to the next state: see `keeping`.
    _planned: dict[str, _Plan] = field(init=False, repr=False, compare=False, default_factory=dict[str, _Plan])
    _wanted: dict[str, _Plan] = field(init=False, repr=False, compare=False, default_factory=dict[str, _Plan])

    def planned(self, unit: str) -> Sequence[Measurement]:
        """What the unit measures, in the job's order."""
        if not self._planned:
            by_unit: dict[str, list[Measurement]] = {}
            for m in self.plan.values():
                by_unit.setdefault(m.unit, []).append(m)
            self._planned.update({name: tuple(mine) for name, mine in by_unit.items()})
        return self._planned.get(unit, ())

    def wanted(self, unit: str) -> Sequence[Measurement]:
        """What of it needs more rounds."""
        if unit not in self._wanted:
            self._wanted[unit] = tuple(m for m in self.planned(unit) if self.wants(m.key))
        return self._wanted[unit]

    def keeping(self, before: FarmState, *, but: Collection[str] = ()) -> FarmState:
        """Knows what was found out of the plan `before`, which is the same; what is wanted changed for some units at most."""
        self._planned.update(before._planned)
        self._wanted.update({unit: found for unit, found in before._wanted.items() if unit not in but})
        return self

    def progress(self, key: str) -> MeasurementProgress:
        """How far one measurement is; new ones have not begun."""
        return self.progress_of.get(key, _NEW)

    def wants(self, key: str) -> bool:
        """Whether it needs more rounds.  Truncated runs are tried again, but not for ever."""
        progress = self.progress(key)
        tries_left = 2 * self.rounds + 2 - progress.complete - progress.truncated
        return not progress.failed and progress.complete < self.rounds and tries_left > 0 and not self.precise(key)

    def precise(self, key: str) -> bool:
        """Whether its interval is as narrow as the job asks for; never without a rule."""
        now = self.reached.get(key)
        return self.rule is not None and now is not None and now.enough(self.rule)

    def done(self, key: str) -> bool:
        """Whether it is precise enough or has all its rounds; no failure is, and nothing that broke off too often."""
        progress = self.progress(key)
        return not progress.failed and (progress.complete >= self.rounds or self.precise(key))

    def rounds_left(self, key: str) -> int:
        """About how many more rounds it needs: all that there may be, where no rule can end it sooner."""
        if not self.wants(key):
            return 0
        progress = self.progress(key)
        if self.rule is None:
            return self.rounds - progress.complete
        return rounds_needed(self.reached.get(key), self.rule, done=progress.complete, most=self.rounds)

    def spent(self, unit: Unit) -> bool:
        """Whether the unit's device-time budget is used up."""
        return self.budget_s is not None and unit.spent_s >= self.budget_s

    @property
    def left(self) -> tuple[str, ...]:
        """What is still wanted of units that are out of work."""
        return tuple(key for key, m in self.plan.items() if self.units[m.unit].out and self.wants(key))

    @property
    def over(self) -> bool:
        """Nothing runs and nothing more can be ordered."""
        if any(unit.in_flight for unit in self.units.values()):
            return False
        if self.stopped or self.time_up:
            return True
        return not any(self.wanted(name) for name, unit in self.units.items() if not unit.out and not self.spent(unit))


_NEW = MeasurementProgress()


def begin(
    plan: Sequence[Measurement],
    units: Iterable[str],
    *,
    rounds: int,
    budget_s: float | None = None,
    until_s: float | None = None,
    expected_ns: Mapping[str, float] | None = None,
    progress_of: Mapping[str, MeasurementProgress] | None = None,
    shares: Sequence[Share] = (),
    rule: StopRule | None = None,
) -> FarmState:
    """The state before the first order; `progress_of` says what the store already has."""
    state = FarmState(
        plan={m.key: m for m in plan},
        rounds=rounds,
        progress_of=dict(progress_of or {}),
        units={name: Unit(name) for name in units},
        budget_s=budget_s,
        until_s=until_s,
        expected_ns=dict(expected_ns or {}),
        shares=tuple(shares),
        rule=rule,
    )
    return _judged(state, state.units)


def resumed(state: FarmState, progress_of: Mapping[str, MeasurementProgress]) -> FarmState:
    """With what the store has of some measurements."""
    if not progress_of:
        return state
    units = {state.plan[key].unit for key in progress_of if key in state.plan}
    known = replace(state, progress_of={**state.progress_of, **progress_of})
    return _judged(known, units).keeping(state, but=units)


def ordered(state: FarmState, unit: str, order_id: str, *, now_s: float = 0.0, due_s: float = 0.0) -> FarmState:
    """After an order was given to a unit; `due_s`: what it should take, where it is a round."""
    return with_unit(state, replace(state.units[unit], in_flight=order_id, cancelled=False, began_s=now_s, due_s=due_s))


def cancelled(state: FarmState, unit: str) -> FarmState:
    """After the order of a unit was told to end; its Done is still to come."""
    return with_unit(state, replace(state.units[unit], cancelled=True))


def out_of_work(state: FarmState, unit: str, out: str, reason: str, *, code: str = "") -> FarmState:
    """After a unit was taken out of work; what runs on it may end."""
    return with_unit(state, replace(state.units[unit], out=out, quarantined=reason or out, code=code))


def back_to_work(state: FarmState, unit: str) -> FarmState:
    """After a unit that was taken out of work was given back."""
    return with_unit(state, replace(state.units[unit], out="", quarantined="", code=""))


@dataclass(slots=True)
class _Changes:
    progress_of: dict[str, MeasurementProgress]
    units: dict[str, Unit]
    stopped: tuple[str, str] | None = None
    measured: set[str] = field(default_factory=set[str])  # units with results
    ended: set[str] = field(default_factory=set[str])  # units whose order ended

    def result(self, unit: str, *, works: bool) -> None:
        """A result ends a row of failures; an opening that succeeds does not: what fails may be all that comes after it."""
        self.measured.add(unit)
        if works and self.units[unit].failures_in_a_row:
            self.units[unit] = replace(self.units[unit], failures_in_a_row=0)


def after(state: FarmState, events: Sequence[Event], now_s: float) -> FarmState:
    """The state after events, in their order."""
    if not events:
        return state
    changes = _Changes(dict(state.progress_of), dict(state.units), state.stopped)
    for event in events:
        if isinstance(event, Measured):
            run = event.run
            changes.progress_of[run.key] = changes.progress_of.get(run.key, _NEW).with_run(run)
            changes.result(run.unit, works=run.status != "truncated")
        elif isinstance(event, Probed):
            probe = event.probe
            changes.progress_of[probe.key] = changes.progress_of.get(probe.key, _NEW).with_probe(probe)
            changes.result(probe.unit, works=True)
        elif isinstance(event, Opened):
            unit, hello = changes.units[event.unit], event.hello
            changes.units[event.unit] = replace(unit, opened=True, hello=hello, machine_id=hello.machine_id)
        elif isinstance(event, Done):
            _end_order(changes, event, now_s)
            changes.ended.add(event.unit)
    found = replace(state, progress_of=changes.progress_of, units=changes.units, stopped=changes.stopped)
    return _judged(found, changes.ended).keeping(state, but=changes.measured | changes.ended)


def _judged(state: FarmState, units: Collection[str]) -> FarmState:
    """With how precise the measurements of some units are: between rounds alone, so that a round is judged whole."""
    if state.rule is None or not units:
        return state
    groups: dict[tuple[str, str], dict[str, tuple[ProcessEstimate, ...]]] = {}
    for m in (m for unit in sorted(units) for m in state.planned(unit)):
        progress = state.progress(m.key)
        if not progress.failed:
            groups.setdefault((m.unit, m.backend.process_key), {})[m.key] = progress.estimates
    found = dict(state.reached)
    for estimates in groups.values():
        found |= reached(estimates, state.rule)
    return replace(state, reached=found)


def _end_order(changes: _Changes, event: Done, now_s: float) -> None:
    unit = changes.units[event.unit]
    if unit.in_flight != event.order:
        return
    spent_s = unit.spent_s + sum(event.spent_ns.values()) / 1e9
    due_s, took_s = unit.due_s, now_s - unit.began_s
    unit = replace(unit, in_flight=None, spent_s=spent_s, due_s=0.0)
    if event.error is None:
        if due_s:
            unit = replace(unit, rounds_due_s=unit.rounds_due_s + due_s, rounds_took_s=unit.rounds_took_s + took_s)
        changes.units[unit.name] = unit
        return
    code, detail = event.error
    failures = unit.failures_in_a_row + 1
    verdict = judge(code, detail, failures_in_a_row=failures)
    if verdict.action is Retry.SAME_DEVICE:
        unit = replace(unit, failures_in_a_row=failures, not_before_s=now_s + verdict.delay_s, opened=False)
    elif verdict.action is Retry.OTHER_DEVICE:
        out = "lost" if is_a(code, LinkError, DeviceLost) else "quarantined"
        unit = replace(unit, failures_in_a_row=failures, quarantined=f"{code}: {detail}", code=code, out=out)
    else:
        changes.stopped = event.error
    changes.units[unit.name] = unit


def with_unit(state: FarmState, unit: Unit) -> FarmState:
    """With one unit as it is now."""
    return replace(state, units={**state.units, unit.name: unit}).keeping(state)
