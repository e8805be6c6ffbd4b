"""How a job ended: first what its table is good for, then what was done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lutfarm.cli.terminal.output import plain, print_json, printable, say
from lutfarm.cli.terminal.say_table import anew_words, say_verdict
from lutfarm.execution.run_job import JobOutcome
from lutfarm.lut import fed
from lutfarm.lut.grades import is_precise
from lutfarm.lut.schema.entry import Entry
from lutfarm.lut.verdict import Verdict, verdict
from lutfarm.monitoring.why import way_back
from lutfarm.results.job_entries import JobRuns, entries_to_judge, judged_anew, runs_of
from lutfarm.scheduling.job_progress import JobProgress
from lutfarm.store.interface import Store
from lutfarm_jobs.errors import SpecError


@dataclass(frozen=True, slots=True)
class Judged:
    """What the table of a job says: its verdict, and which measurements it calls precise; or why there is no table."""

    verdict: Verdict | None
    again: str  # how its job is measured anew
    precise: frozenset[str] = frozenset()  # measurement keys
    why: str = ""
    anew: int = 0  # runs that are judged by what their canary showed since
    warnings: tuple[str, ...] = ()  # of inputs that nobody gave


def again(job: Path, *, fresh: bool) -> str:
    """How a job's file is measured anew: the same command alone goes on where the job is, and reuses what holds."""
    change = "give it another `name`" if fresh else "put `fresh: true` into it"
    return f"lutfarm run {printable(str(job))}, once you {change}"


def judged_job(store: Store, job_id: str, *, again: str) -> Judged:
    """What the table that `lut export` would write now says of the job."""
    stored = runs_of(store, job_id)
    try:
        entries, missing = entries_to_judge(stored) or _composed(store, stored)
    except SpecError as error:  # runs that disagree: what was measured is stored all the same
        return Judged(None, again, why=error.detail)
    precise = frozenset(entry.key for entry in entries if is_precise(entry.flags))
    found = verdict(entries, missing=missing, again=again, target=stored.target.relative_half_width)
    return Judged(found, again, precise, anew=judged_anew(store, stored.job.id), warnings=tuple(fed.warnings(entries)))


def _composed(store: Store, stored: JobRuns) -> tuple[Sequence[Entry], int]:
    from lutfarm.results.job_table import table_of  # with it pyarrow, and pandas where it is installed

    table = table_of(store, stored.job.id)
    return table.entries, len(table.manifest.missing)


@dataclass(frozen=True, slots=True)
class _Counted:
    """The measurements of a job by how they ended."""

    failed: list[str]
    done: list[str]
    gave_up: list[str]
    precise: int

    @classmethod
    def of(cls, job: JobProgress, judged: Judged) -> _Counted:
        failed = sorted(key for key in job.plan if job.progress(key).failed)
        done = [key for key in job.plan if job.done(key)]
        gave_up = [key for key in job.plan if not (job.wants(key) or job.done(key) or job.progress(key).failed)]
        return cls(failed, done, gave_up, len(judged.precise.intersection(done)))


def report(outcome: JobOutcome, judged: Judged, *, runs_now: int, as_json: bool, opening: bool = True) -> None:
    """How a job ended; `runs_now`: of this sitting; `opening`: with the verdict, where nothing that follows opens with one."""
    counted = _Counted.of(outcome.job, judged)
    if as_json:
        print_json(_facts(outcome, judged, counted, runs_now))
        return
    if not judged.verdict:
        say(f"no table can be made: {printable(judged.why)}")
    elif opening:
        say_verdict(judged.verdict)
    _say_counts(outcome, judged, counted, runs_now)
    _say_trouble(outcome, counted)
    for flag, seen in noted(outcome.job).items():
        key, why = next(iter(seen.items()))
        say(f"  {flag}: {len(seen)} of them, such as {printable(key)}: {printable(why)[:200]}")
    if len(outcome.missing) < len(outcome.job.plan) or not outcome.job.plan:  # else there is nothing that a table could hold
        say(f"table: lutfarm lut export {outcome.job_id} --out table.json")


def _facts(outcome: JobOutcome, judged: Judged, counted: _Counted, runs_now: int) -> dict[str, object]:
    job = outcome.job
    return {
        "verdict": plain(judged.verdict),
        "job": outcome.job_id,
        "measurements": len(job.plan),
        "complete": len(counted.done),
        "precise": counted.precise,
        "gave_up": counted.gave_up,
        "runs_judged_anew": judged.anew,
        "warnings": list(judged.warnings),
        "failed": counted.failed,
        "notes": noted(job),
        "missing": list(outcome.missing),
        "runs": sum(job.progress(key).complete for key in job.plan),
        "runs_now": runs_now,
        "device_time_s": {unit: round(job.spent_s.get(unit, 0.0), 1) for unit in outcome.units},
        "quarantined": {u.name: u.quarantined for u in outcome.units.values() if u.out},
        "left": list(outcome.left),
        "files": {m.workload.key: m.workload.path for m in job.plan.values() if m.workload.path},
    }


def _say_counts(outcome: JobOutcome, judged: Judged, counted: _Counted, runs_now: int) -> None:
    done, failed, asked = len(counted.done), len(counted.failed), len(outcome.job.plan)
    say(
        f"job {outcome.job_id}: {done} of {asked} measurements done, {_how(outcome, counted.precise)}{failed} failed, "
        f"{_undone(outcome, asked - done - failed)}"
    )
    if done and not runs_now and done + failed == asked:
        say(f"nothing was measured now: all of it is stored. To measure it anew: {judged.again}")
    if judged.anew:
        say(anew_words(judged.anew))
    for warning in judged.warnings:
        say(printable(warning))


def noted(job: JobProgress) -> dict[str, dict[str, str]]:
    """By flag: what was seen of the workloads when they were probed, by measurement."""
    found: dict[str, dict[str, str]] = {}
    for key in job.plan:
        probe = job.progress(key).probe
        for flag, why in probe.notes.items() if probe else ():
            found.setdefault(flag, {})[key] = why
    return {flag: found[flag] for flag in sorted(found)}


def _say_trouble(outcome: JobOutcome, counted: _Counted) -> None:
    job, gave_up = outcome.job, counted.gave_up
    for key in counted.failed[:20]:
        failure = job.progress(key).failure
        reason = f"{failure.code}: {printable(failure.detail)[:300]}" if failure else "in an earlier sitting"
        say(f"  failed {printable(job.plan[key].label)}: {reason}")
    if gave_up:
        say(
            f"{len(gave_up)} broke off too often to be tried again in this run: "
            f"{', '.join(printable(job.plan[key].label) for key in gave_up[:5])}"
        )
    if job.time_up and any(job.wants(key) for key in job.plan):
        say("the time was up; what is not done was not measured, or in fewer rounds than it wanted")
    elif any(job.spent(unit) for unit in outcome.units) and any(job.wants(key) for key in job.plan):
        say(
            "the device-time budget ended it: raise sampling.device_time_budget_s "
            "and run again, or run the same job again for as long once more"
        )
    for unit in outcome.units.values():
        if unit.out:
            say(f"{unit.name} is {unit.out}: {printable(unit.quarantined)}; {way_back(unit.name, unit.out, unit.code)}")
    for unit, reason in outcome.job.gave_up.items():
        say(f"{unit} broke this job's orders, and no others: {printable(reason)}; run the job again once that is looked into")
    if outcome.left:
        say(f"{len(outcome.left)} measurements wait for devices that are out of work; see lutfarm job why {outcome.job_id}")


def _undone(outcome: JobOutcome, count: int) -> str:
    """What is neither done nor failed; `missing` are those of them without any run."""
    bare = len(outcome.missing)
    some = f"{count - bare} of them with some runs" if bare < count else "without any whole run"
    return f"{count} not done" + (f" ({some})" if count else "")


def _how(outcome: JobOutcome, precise: int) -> str:
    """By the table: the same rule as that of its flags, and of the verdict."""
    rule, rounds = outcome.job.rule, outcome.job.rounds
    if rule is None:
        return f"with all {rounds} rounds, "
    target = f"{100 * rule.relative_half_width:.3g} %"
    return f"{precise} of them undisturbed and to +-{target}, the others disturbed or with all {rounds} rounds, "
