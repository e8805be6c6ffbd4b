"""`lutfarm plan`.  What looks at the store is imported when it runs: a help page needs none of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lutfarm.cli import exit_codes
from lutfarm.cli.executor import ExecutorOption, executor_of
from lutfarm.cli.terminal.output import (
    Column,
    HomeOption,
    JobArgument,
    JsonOption,
    duration,
    print_json,
    print_rows,
    printable,
    say,
)
from lutfarm.cli.which_farm import require_here
from lutfarm.home import find_home

if TYPE_CHECKING:
    from lutfarm.execution.preview import Preview
    from lutfarm.scheduling.durations import Span
    from lutfarm.scheduling.job_progress import JobProgress

PARTS = ("opening", "building", "probing", "rounds", "waiting")


def plan(job: JobArgument, home: HomeOption = None, executor: ExecutorOption = None, json: JsonOption = False) -> None:
    """What would be measured, what is reused, how long it will take.  Changes nothing."""
    with exit_codes.exits():
        require_here("lutfarm submit JOB checks a job and gives it to the farm")
        from lutfarm.execution.preview import preview
        from lutfarm.lut import fed
        from lutfarm.scheduling.durations import PLAIN_POOL, PROGRAM, RAY, Span
        from lutfarm.store import open_store
        from lutfarm.submission.submit import submit_read
        from lutfarm_jobs.spec import load_job

        chosen, place, spec = executor_of(executor), find_home(home), load_job(job)
        with open_store(place.path, to_read=True) as store:
            submitted, _ = submit_read(spec, job, store)
            found = preview(submitted, store)
        measures = any(one.to_measure for one in found.devices)  # else Ray is not started
        begun = PROGRAM + (RAY if chosen.kind == "ray" and measures else PLAIN_POOL)
        begun = Span(begun.low_s, begun.high_s * found.slowdown)
        if json:
            print_json({"job": submitted.spec.id, **_as_json(found, begun)})
            return
        rows = _rows(found)
        columns = [Column(name, "key" if name == "device" else "value") for name in rows[0]]
        print_rows(columns, [list(row.values()) for row in rows], title=f"job {submitted.spec.id}")
        for warning in fed.warnings_before(submitted.plan):
            say(printable(warning))
        named = {"start and end": begun, **{name: getattr(found.parts, name) for name in PARTS}}
        each = ", ".join(f"{name} {_words(span)}" for name, span in named.items() if span.high_s >= 0.5)
        say(f"it will take {_words(found.parts.whole + begun)}: {each}; {_rounds(found.job)}")


def _rows(found: Preview) -> list[dict[str, object]]:
    return [
        {
            "device": one.device,
            "measurements": one.measurements,
            "to measure": one.to_measure,
            "own runs": one.own_runs,
            "reused runs": one.reused_runs,
        }
        for one in found.devices
    ]


def _as_json(found: Preview, begun: Span) -> dict[str, object]:
    parts = found.parts
    held = parts.opening + parts.probing + parts.rounds + parts.waiting
    return {
        "devices": _rows(found),
        "wall_s": _span(parts.whole + begun),
        "held_s": _span(held),
        "parts_s": {"start and end": _span(begun), **{name: _span(getattr(parts, name)) for name in PARTS}},
        "keys": list(found.job.plan),
    }


def _span(span: Span) -> list[float]:
    return [round(span.low_s, 1), round(span.high_s, 1)]


def _words(span: Span) -> str:
    low, high = duration(span.low_s), duration(span.high_s)
    return low if low == high else f"{low} to {high}"


def _rounds(job: JobProgress) -> str:
    if job.rule is None:
        return f"{job.rounds} rounds each"
    return f"until +-{100 * job.rule.relative_half_width:.3g} %, {job.rounds} rounds each at most"
