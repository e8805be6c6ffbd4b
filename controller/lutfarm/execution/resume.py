"""What the store already has for a device: runs of this job, runs of other jobs, probes.

Runs count only where the fingerprint is the device's of today: an upgraded runtime never returns
yesterday's numbers silently.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from lutfarm.agent_pool.interface import Opened
from lutfarm.canary.judge_runs import judge
from lutfarm.records.fingerprints import Difference, agree, disagreement
from lutfarm.records.job import Job
from lutfarm.scheduling.job_progress import JobProgress, MeasurementProgress, resumed
from lutfarm.scheduling.policy import MeasuringPolicy
from lutfarm.scheduling.stop_rule import stop_rule
from lutfarm.scheduling.unit import Unit
from lutfarm.statistics.estimates.precision import ProcessEstimate, process_estimate_of
from lutfarm.store.interface import RunsAndCanaries, RunStore, Store
from lutfarm_agents.device import Hello
from lutfarm_agents.fingerprint import fingerprint
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.round import Slicing
from lutfarm_jobs.run import Run
from lutfarm_jobs.spaces import added_by
from lutfarm_jobs.spec import stored_job


@dataclass(frozen=True, slots=True)
class Resumed:
    """`progress_of` by key; how many runs were this job's, adopted from others, and left out as outdated."""

    progress_of: Mapping[str, MeasurementProgress]
    own_runs: int = 0
    adopted_runs: int = 0
    outdated_runs: int = 0
    outdated: tuple[Difference, ...] = ()  # why: what is stored against the device of today
    reused_probes: int = 0


def resume(
    store: RunsAndCanaries,
    job: JobProgress,
    opened: Opened,
    *,
    fresh_since_s: float | None,
    ignore_failures_before_s: float = 0.0,
) -> Resumed:
    """How far each measurement of a unit is; links the runs of other jobs that count to this one.

    `fresh_since_s`: when a job that measures everything itself began, None for one that reuses.
    """
    today = _today(job, opened.unit, opened.hello, _judge(store, job, opened.unit))
    linked = 0  # before the last look
    while True:
        found, adopted = _look(store, job, today, fresh_since_s=fresh_since_s, forget_s=ignore_failures_before_s)
        gone = store.adopt(job.id, adopted)
        if not gone:
            return replace(found, own_runs=found.own_runs - linked, adopted_runs=found.adopted_runs + linked)
        linked += len(adopted) - len(gone)  # the others went with their job since they were read: what is there now?


def foresee(store: Store, job: JobProgress, unit: str, *, fresh_since_s: float | None) -> tuple[JobProgress, Resumed]:
    """What `resume` would find if the device still is what it last said it was.  Changes nothing."""
    last = store.hello(unit)
    if last is None:
        return job, Resumed({})
    hello, _ = last
    today = _today(job, unit, hello, _judge(store, job, unit))
    found, _ = _look(store, job, today, fresh_since_s=fresh_since_s, forget_s=0.0)
    return resumed(job, found.progress_of), found


def judged_now(store: RunsAndCanaries, job: JobProgress, units: Mapping[str, Unit]) -> JobProgress:
    """The job by what is known now of the canaries of units that have answered.

    A run that arrives is judged by what was known when its round began; its own sitting may show that the machine can be faster.
    """
    if job.rule is None:
        return job
    hellos = {name: hello for name in job.policies if (hello := units[name].hello) is not None}
    todays = {name: _today(job, name, hello, _judge(store, job, name)) for name, hello in hellos.items()}
    estimates = {m.key: list[ProcessEstimate]() for name in todays for m in job.planned(name)}
    for run in store.runs(job.id):
        if run.key in estimates and agree(run.fingerprint, todays[run.device].runs[run.key]):
            estimate = process_estimate_of(todays[run.device].judged(run))
            estimates[run.key] += [estimate] if estimate else []
    return resumed(job, {key: replace(job.progress(key), estimates=tuple(those)) for key, those in estimates.items()})


def as_stored(store: RunsAndCanaries, job: Job, plan: Sequence[Measurement]) -> JobProgress:
    """How far a job is by its stored runs alone, of whatever fingerprint: of devices of which nothing else is known."""
    spec = stored_job(job.spec_json)
    rule = stop_rule(spec)
    progress_of: dict[str, MeasurementProgress] = {}
    judged = judge(store, plan, {}) if rule is not None else _as_taken
    planned = {m.key for m in plan}
    for run in store.runs(job.id, samples=rule is not None):
        if run.key in planned:
            progress_of[run.key] = progress_of.get(run.key, MeasurementProgress()).with_run(judged(run))
    for key, by_status in store.round_counts(job.id).items():
        if by_status.get("failed"):  # a failed probe, too
            progress_of[key] = replace(progress_of.get(key, MeasurementProgress()), failed=True)
    of_unit = dict.fromkeys((m.device for m in plan), MeasuringPolicy())  # it is only looked at: no device measures by them
    known = JobProgress(job.id, {m.key: m for m in plan}, of_unit, spec.sampling.rounds, progress_of, rule=rule)
    return known.judged(known.policies)


def own_runs(store: RunsAndCanaries, job: JobProgress, unit: str, hello: Hello) -> Iterator[Run]:
    """The job's own complete runs of a unit that has the fingerprint of today, judged by today's canary, samples and all."""
    judged = judge(store, job.planned(unit), {unit: job.policies[unit].slicing.gate_ratio})
    today = _today(job, unit, hello, judged)
    for run in store.runs(job.id):
        if run.status == "complete" and run.key in today.runs and agree(run.fingerprint, today.runs[run.key]):
            yield judged(run)


@dataclass(frozen=True, slots=True)
class _Today:
    """What fingerprints runs and probes of each key have to have; a probe's does not depend on the plan."""

    runs: Mapping[str, Mapping[str, str]]
    probes: Mapping[str, Mapping[str, str]]
    strict: bool  # runs on a throttled device don't count
    judged: Callable[[Run], Run]  # by what is known of the canary today


def _as_taken(run: Run) -> Run:
    return run


def _judge(store: RunsAndCanaries, job: JobProgress, unit: str) -> Callable[[Run], Run]:
    """As a table would: what stopped as precise on verdicts that no longer hold goes on."""
    if job.rule is None:
        return _as_taken  # without a rule estimates decide nothing, and runs are read without samples
    return judge(store, job.planned(unit), {unit: job.policies[unit].slicing.gate_ratio})


def _today(job: JobProgress, unit: str, hello: Hello, judged: Callable[[Run], Run]) -> _Today:
    policy = job.policies[unit]
    mine = {m.key: (m.backend, m.workload.fed, added_by(m.workload)) for m in job.planned(unit)}

    def prints(plan: Slicing | None) -> Mapping[str, Mapping[str, str]]:
        of_each = {
            each: fingerprint(hello, each[0], plan, policy.setting, inputs=each[1], space=each[2]) for each in set(mine.values())
        }
        return {key: of_each[each] for key, each in mine.items()}

    return _Today(prints(policy.slicing), prints(None), policy.strict, judged)


def _look(
    store: RunStore, job: JobProgress, today: _Today, *, fresh_since_s: float | None, forget_s: float
) -> tuple[Resumed, list[str]]:
    progress_of: dict[str, MeasurementProgress] = {}
    known: set[str] = set()
    outdated: list[tuple[str, Mapping[str, str]]] = []
    for run in store.runs(job.id, samples=job.rule is not None):  # estimates are made of samples
        if run.key not in today.runs:
            continue
        known.add(run.id)
        if agree(run.fingerprint, today.runs[run.key]):
            if run.status != "truncated":  # an earlier sitting's broken links use up no try of this one
                progress_of[run.key] = progress_of.get(run.key, MeasurementProgress()).with_run(today.judged(run))
        else:
            outdated += [("stored", run.fingerprint), ("today", today.runs[run.key])]
    outdated_runs = len(outdated) // 2
    own = len(known) - outdated_runs
    adopted: list[str] = []  # ids alone: samples of thousands of runs would fill the memory
    if fresh_since_s is None:
        for run in _adoptable(store, known, today, progress_of, job):
            progress_of[run.key] = progress_of.get(run.key, MeasurementProgress()).with_run(today.judged(run))
            adopted.append(run.id)
    probes = 0
    for key, found in store.probes(list(today.probes)).items():
        for probe in found:
            outlived = probe.probed_s < max(fresh_since_s or 0.0, forget_s if probe.failure else 0.0)
            if agree(probe.fingerprint, today.probes[key]) and not outlived:
                progress_of[key] = progress_of.get(key, MeasurementProgress()).with_probe(probe)
                probes += 1
                break
    return Resumed(progress_of, own, len(adopted), outdated_runs, disagreement(outdated), probes), adopted


def _adoptable(
    store: RunStore, known: Collection[str], today: _Today, progress_of: Mapping[str, MeasurementProgress], job: JobProgress
) -> Iterator[Run]:
    """Newest first, as many of each measurement as the job has rounds."""
    places = {key: job.rounds - progress_of.get(key, MeasurementProgress()).complete for key in today.runs}
    keys = [key for key, left in places.items() if left > 0]
    for run in store.reusable(keys, samples=job.rule is not None):
        if run.throttled and today.strict:
            continue
        if places[run.key] > 0 and run.id not in known and agree(run.fingerprint, today.runs[run.key]):
            places[run.key] -= 1
            yield run
