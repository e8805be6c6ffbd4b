"""How far one job is, as a value.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lutfarm.agent_pool.interface import Probed
from lutfarm.scheduling.policy import MeasuringPolicy
from lutfarm.scheduling.work_sharing import Share
from lutfarm.statistics.estimates.precision import ProcessEstimate, Reached, StopRule, process_estimate_of, reached, rounds_needed
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.run import Failure, Probe, Run

_Plan = tuple[Measurement, ...]


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


_NEW = MeasurementProgress()


@dataclass(frozen=True, slots=True)
class JobProgress:
    """One job: its plan, on what terms it is measured, how far each measurement is."""

    id: str
    plan: Mapping[str, Measurement]  # by key, in the job's order
    policies: Mapping[str, MeasuringPolicy]  # by unit that it may use
    rounds: int  # complete runs wanted of each, at most if there is a rule
    progress_of: Mapping[str, MeasurementProgress] = field(default_factory=dict[str, MeasurementProgress])
    fresh: bool = False  # measures everything itself: what another job measures does not count
    budget_s: float | None = None  # device time of each unit
    spent_s: Mapping[str, float] = field(default_factory=dict[str, float])  # device time in this sitting, by unit
    gave_up: Mapping[str, str] = field(default_factory=dict[str, str])  # by unit: why, where its orders broke and others' did not
    stopped: tuple[str, str] | None = None  # an error that ends it: (code, detail)
    until_s: float | None = None  # Unix time at which it ends, done or not
    time_up: bool = False  # that time came
    expected_ns: Mapping[str, float] = field(default_factory=dict[str, float])  # by key: a first guess at an iteration
    shares: tuple[Share, ...] = ()  # pools whose units share the work
    rule: StopRule | None = None  # None: `rounds` of each, however precise
    reached: Mapping[str, Reached] = field(default_factory=dict[str, Reached])  # by key, as of the last round
    # By unit, made when first asked for; what an event does not change passes on to the next value: see `keeping`.
    _planned: dict[str, _Plan] = field(init=False, repr=False, compare=False, default_factory=dict[str, _Plan])
    _wanted: dict[str, _Plan] = field(init=False, repr=False, compare=False, default_factory=dict[str, _Plan])

    def planned(self, unit: str) -> Sequence[Measurement]:
        """What the unit measures, in the job's order."""
        if not self._planned:
            by_unit: dict[str, list[Measurement]] = {}
            for m in self.plan.values():
                by_unit.setdefault(m.device, []).append(m)
            self._planned.update({name: tuple(mine) for name, mine in by_unit.items()})
        return self._planned.get(unit, ())

    def wanted(self, unit: str) -> Sequence[Measurement]:
        """What of it needs more rounds."""
        if unit not in self._wanted:
            self._wanted[unit] = tuple(m for m in self.planned(unit) if self.wants(m.key))
        return self._wanted[unit]

    def keeping(self, before: JobProgress, *, but: Collection[str] = ()) -> JobProgress:
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

    def spent(self, unit: str) -> bool:
        """Whether its device-time budget of the unit is used up."""
        return self.budget_s is not None and self.spent_s.get(unit, 0.0) >= self.budget_s

    def finished(self, unit: str) -> bool:
        """Whether it gets nothing more of the unit: its budget there is used up, or it gave it up."""
        return self.spent(unit) or unit in self.gave_up

    def judged(self, units: Collection[str]) -> JobProgress:
        """With how precise the measurements of some units are: between rounds alone, so that a round is judged whole."""
        if self.rule is None or not units:
            return self
        groups: dict[tuple[str, str], dict[str, tuple[ProcessEstimate, ...]]] = {}
        for m in (m for unit in sorted(units) for m in self.planned(unit)):
            progress = self.progress(m.key)
            if not progress.failed:
                groups.setdefault((m.device, m.backend.process_key), {})[m.key] = progress.estimates
        found = dict(self.reached)
        for estimates in groups.values():
            found |= reached(estimates, self.rule)
        return replace(self, reached=found)


def resumed(job: JobProgress, progress_of: Mapping[str, MeasurementProgress]) -> JobProgress:
    """With what the store has of some measurements."""
    if not progress_of:
        return job
    units = {job.plan[key].device for key in progress_of if key in job.plan}
    known = replace(job, progress_of={**job.progress_of, **progress_of})
    return known.judged(units).keeping(job, but=units)


def refused(job: JobProgress, probes: Sequence[Probed]) -> JobProgress:
    """With what fails on a device without its being asked."""
    return resumed(job, {one.probe.key: job.progress(one.probe.key).with_probe(one.probe) for one in probes})
