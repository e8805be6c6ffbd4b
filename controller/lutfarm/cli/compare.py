"""`lutfarm compare`: two sides in one sitting, pair by pair."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from lutfarm.cli import exit_codes
from lutfarm.cli.executor import ExecutorOption, executor_of
from lutfarm.cli.job.watch import followed
from lutfarm.cli.measure import measure
from lutfarm.cli.ratio_rows import PrintedRatio, change, print_ratios
from lutfarm.cli.terminal.output import HomeOption, JobArgument, JsonOption, plain, print_json, printable, say
from lutfarm.cli.which_farm import refuse_here, served_farm, server, store_of
from lutfarm.comparison import Comparison, WorkloadRatio, parse_side, spec_of
from lutfarm.comparison.compare_job import submit_pairs
from lutfarm.comparison.sides import ROUNDS
from lutfarm.execution.run_job import JobOutcome
from lutfarm.home import find_home
from lutfarm.lut import fed
from lutfarm.monitoring.why import way_back
from lutfarm.statistics.estimates.flags import BUSY
from lutfarm.store import open_store
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.measurement_key import short_name
from lutfarm_jobs.spec import load_job

SideOption = "device=NAME, runtime=, threads=, provider=; what it leaves out is the job's."


def compare(
    job: JobArgument,
    a: Annotated[str, typer.Option("--a", metavar="SIDE", help=SideOption)],
    b: Annotated[str, typer.Option("--b", metavar="SIDE", help="The other: is it slower?")],
    margin: Annotated[str, typer.Option("--margin", help="B may be slower by so much: 3%, or 0.03.")] = "3%",
    rounds: Annotated[int, typer.Option("--rounds", min=2, max=1000, help="At most so many pairs of rounds.")] = ROUNDS,
    target: Annotated[
        str | None, typer.Option("--target", help="Stop where every ratio is known to +- this; default: the job's.")
    ] = None,
    executor: ExecutorOption = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="PICTURE", help="FILE.svg, .png or .pdf")] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Measure two sides in turn, in one sitting, and say whether B is slower.  Exit code 1: it is; 5: undecided."""
    with exit_codes.exits():
        if out is not None:
            from lutfarm.report.ratio_plot import check_picture  # matplotlib takes a second to import

            check_picture(out)
        allowed = share(margin, option="--margin", zero=True)
        wanted = None if target is None else share(target, option="--target", zero=False)
        sides = parse_side(a, option="--a"), parse_side(b, option="--b")
        asked = _Asked(job, *sides, rounds, wanted, allowed, quiet=json)
        found, warnings = _there(asked, home, executor) if server() else _here(asked, home, executor)
        if out is not None:
            _draw(found, out)
        if json:
            print_json(plain(found) | {"warnings": warnings})
        else:
            _print(found)
        code = {"slower": exit_codes.SLOWER, "undecided": exit_codes.UNDECIDED}.get(found.verdict, exit_codes.OK)
        raise typer.Exit(code)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was typed; `quiet`: what is to be said of the job's inputs is not said here."""

    job: Path
    a: Mapping[str, str]
    b: Mapping[str, str]
    rounds: int
    target: float | None
    margin: float
    quiet: bool

    def warnings(self, plan: Sequence[Measurement]) -> list[str]:
        """What is to be said of the job's inputs beforehand."""
        found = [printable(warning) for warning in fed.warnings_before(plan)]
        for warning in () if self.quiet else found:
            say(warning)
        return found


def _here(asked: _Asked, home: Path | None, executor: str | None) -> tuple[Comparison, list[str]]:
    """What it came to on this machine, and what was to be said of the job's inputs beforehand."""
    chosen = executor_of(executor)
    spec = spec_of(load_job(asked.job), asked.a, asked.b, rounds=asked.rounds, target=asked.target)
    place = find_home(home)
    with open_store(place.path, begun=True) as store:
        paired = submit_pairs(spec, asked.job.absolute().parent, store)
        warnings = asked.warnings(paired.submitted.plan)
        outcome, _ = measure(paired.submitted, paired.sources, store, place, executor=chosen, brief=asked.quiet)
        _check_units(outcome)
        if any(outcome.job.spent(unit) for unit in outcome.units):
            say(
                "the device-time budget ended it: raise sampling.device_time_budget_s, or run the same command for as long "
                "once more"
            )
        return paired.result(store, outcome.job_id, margin=asked.margin), warnings


def _there(asked: _Asked, home: Path | None, executor: str | None) -> tuple[Comparison, list[str]]:
    """The same of the served farm that is named, which goes on with it whatever becomes of this command."""
    refuse_here(home, executor)
    with served_farm() as farm, store_of(None, to_read=True) as store:
        job_id = farm.compare(asked.job, asked.a, asked.b, rounds=asked.rounds, target=asked.target).id
        warnings = asked.warnings(store.measurements(job_id))
        followed(farm, job_id, broken_off=exit_codes.UNDECIDED)
        return farm.comparison(job_id, margin=asked.margin), warnings


def share(text: str, *, option: str, zero: bool) -> float:
    """From `3%` or `0.03`.  Raises SpecError."""
    try:
        number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError as error:
        raise SpecError(f"{option}: {text[:40]!r} is no share; write 3% or 0.03") from error
    if not math.isfinite(number) or number < 0 or number >= 1 or (number == 0 and not zero):
        raise SpecError(f"{option}: {text[:40]!r} is not between 0 and 100 %; write 3% or 0.03")
    return number


def _check_units(outcome: JobOutcome) -> None:
    for unit in outcome.units.values():
        if unit.out:
            say(f"{unit.name} is {unit.out}: {printable(unit.quarantined)}; {way_back(unit.name, unit.out, unit.code)}")
            say("the comparison is broken off; the same command goes on from there")
            raise typer.Exit(exit_codes.DEVICE_TROUBLE)


def _draw(found: Comparison, out: Path) -> None:
    from lutfarm.report.ratio_plot import Labels, RatioRow, picture, save_picture

    rows = [
        RatioRow(short_name(w.workload), w.a_estimate, w.b_estimate, w.ratio, w.low, w.high, change(w.ratio, differs=w.differs))
        for w in found.workloads
    ]
    save_picture(picture(rows, (), Labels(found.a, found.b, found.ratio, "overall", found.confidence, found.margin)), out)


def _print(found: Comparison) -> None:
    rows = [
        PrintedRatio(
            w.workload, w.ratio, w.low, w.high, _word(w), w.pairs, w.a_estimate, w.b_estimate, flags=(" ".join(w.flags),)
        )
        for w in sorted(found.workloads, key=lambda w: -w.ratio)
    ]
    print_ratios(rows, confidence=found.confidence, more="pairs", flags=("flags",))
    for line in words(found):
        say(printable(line))


def _word(found: WorkloadRatio) -> str:
    if found.slower:
        return "slower, beyond the margin"
    return change(found.ratio, differs=found.differs)


def words(found: Comparison) -> list[str]:
    """What it came to, in lines."""
    margin = f"the margin of {100 * found.margin:g} %"
    lines = [f"A: {found.a}", f"B: {found.b}"]
    lines += [f"left out: {name}: {why}" for name, why in found.left_out.items()]
    if found.lone_rounds:
        lines.append(f"{found.lone_rounds} rounds without a partner close in time are in no pair")
    if busy := [one for one in found.workloads if not BUSY.isdisjoint(one.flags)]:
        told = ", ".join(sorted({flag for one in busy for flag in one.flags} & BUSY))
        lines.append(
            f"a busy machine measured {len(busy)} of {len(found.workloads)} workloads ({told}): "
            "what disturbed both sides alike cancels in the ratio, and nothing else does"
        )
    lines.append(
        f"overall B takes {found.ratio:.4f} x A (geometric mean of {len(found.workloads)} workloads; "
        f"{100 * found.confidence:g} % interval {found.low:.4f} - {found.high:.4f}, "
        f"over {found.pairs} pairs of rounds of one sitting)"
    )
    return [*lines, _verdict(found, margin)]


def _verdict(found: Comparison, margin: str) -> str:
    if found.verdict == "not slower":
        return f"not slower: the whole interval lies below {margin}"
    if found.verdict == "undecided" and found.high <= 1 + found.margin:
        return (
            f"undecided: of what was compared the whole interval lies below {margin}, but {len(found.left_out)} of "
            f"{len(found.left_out) + len(found.workloads)} workloads are left out, and nothing is known of them"
        )
    if found.verdict == "undecided":
        more = found.rounds_to_settle
        return f"undecided: the interval holds {margin}; " + (
            f"about {more} more rounds would settle it if the ratio stays where it is: --rounds {found.pairs + more}"
            if more
            else "even a thousand rounds would not settle it: choose another margin"
        )
    slower = [short_name(w.workload) for w in found.workloads if w.slower]
    if found.low > 1 + found.margin:
        return f"slower: overall, B is slower than A by more than {margin}"
    return f"slower: by more than {margin} are {len(slower)} of {len(found.workloads)} workloads: {', '.join(slower[:3])}"
