"""`lutfarm lut export|predict|report`; lut_show.py, lut_validate.py and lut_diff.py have the others.

What a table is made of is imported when one is made: a help page needs none of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lutfarm.cli import exit_codes
from lutfarm.cli.terminal.output import (
    Column,
    HomeOption,
    JsonOption,
    interval,
    latency,
    plain,
    print_json,
    print_rows,
    quoted,
    say,
)
from lutfarm.cli.terminal.say_table import anew_words, say_table, say_verdict
from lutfarm.cli.terminal.table_options import BackendOption, DeviceOption, TableArgument, select
from lutfarm.home import find_home
from lutfarm_jobs.errors import SpecError

if TYPE_CHECKING:
    from lutfarm.lut import Figures, LatencyTable, Prediction


def export(
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="Its id, the start of it, or its name.")],
    out: Annotated[
        list[Path], typer.Option("--out", help="FILE.json, .csv, .parquet, .yaml, or a package's own; may be repeated.")
    ],
    format: Annotated[
        str, typer.Option("--format", help="Of files whose extension several have: proxylessnas.yaml, or what a package adds.")
    ] = "",
    device: DeviceOption = None,
    backend: BackendOption = None,
    pool: Annotated[
        str | None,
        typer.Option(
            "--pool", metavar="PROFILE", help="Add entries for all devices of this profile together, as device pool:PROFILE."
        ),
    ] = None,
    calibrated: Annotated[
        bool | None,
        typer.Option(
            "--calibrated/--uncalibrated", help="With the calibration, or an error; without. Default: with it where there is one."
        ),
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Build the table of a job from its stored runs, and write it with what `validate` said of it."""
    with exit_codes.exits():
        from lutfarm.cli.terminal.which_job import job_meant
        from lutfarm.lut.files import save_all
        from lutfarm.lut.verdict import table_verdict
        from lutfarm.results.job_entries import judged_anew
        from lutfarm.results.validated_table import validated_table
        from lutfarm.store import open_store

        with open_store(find_home(home).path, to_read=True) as store:
            job, _ = job_meant(store, job_id)
            table = validated_table(store, job.id, pool=pool, device=device, backend=backend)
            anew = judged_anew(store, job.id)
        if calibrated is False:
            table = table.with_calibrations(())
        if calibrated and not table.manifest.calibrations:
            raise SpecError(f"job {job.id} has no calibration: measure some networks with lutfarm lut validate --calibrate M")
        files = [str(written) for written in save_all(table, {path: _format_of(path, format, out) for path in out})]
        judged = table_verdict(table)
        if json:
            print_json(
                {
                    "verdict": plain(judged),
                    "job": job.id,
                    "runs_judged_anew": anew,
                    "entries": len(table.entries),
                    "files": files,
                    "places": [
                        {
                            "device": device,
                            "backend": backend,
                            "validated": validated_on(table, device, backend),
                            "calibrated": [
                                c.space for c in table.manifest.calibrations if (c.device, c.backend) == (device, backend)
                            ],
                        }
                        for device, backend in table.places
                    ],
                }
            )
            return
        say_verdict(judged)
        say_table(table)
        if anew:
            say(anew_words(anew))
        for file in files:
            say(f"written: {quoted(file)}")


def _format_of(path: Path, wanted: str, files: Sequence[Path]) -> str:
    """The asked format for the files with its extension, the usual one for the others; for all where none has it."""
    from lutfarm.lut.formats.known import extension

    ending = extension(wanted)
    return wanted if path.suffix.lower() == ending or not any(file.suffix.lower() == ending for file in files) else ""


def validated_on(table: LatencyTable, device: str, backend: str) -> list[str]:
    """The spaces whose networks were held against one device's and backend's entries; none: never validated."""
    return [one.space for one in table.manifest.validations if one.place == (device, backend)]


def predict(
    table_file: TableArgument,
    space: Annotated[str, typer.Option(help="A space's name, or the path of its file.")],
    arch: Annotated[list[str] | None, typer.Argument(help="Architectures in the space's encoding.")] = None,
    random: Annotated[int, typer.Option(min=0, help="Predict so many random architectures too.")] = 0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    allow_partial: Annotated[bool, typer.Option("--allow-partial", help="Sum what there is; say what is missing.")] = False,
    uncalibrated: Annotated[bool, typer.Option("--uncalibrated", help="The plain sum, though the table is calibrated.")] = False,
    device: DeviceOption = None,
    backend: BackendOption = None,
    json: JsonOption = False,
) -> None:
    """Predict whole networks from a table."""
    with exit_codes.exits():
        from lutfarm.lut import load
        from lutfarm.lut.schema.validation_record import words
        from lutfarm_jobs.expand import load_space

        found = load_space(space, Path.cwd())
        archs = [found.parse(text) for text in arch or []]
        archs += found.random(seed, random) if random else ()
        if not archs:
            raise SpecError(f"give an architecture of {found.name}, or --random N")
        table = select(load(table_file), device, backend)
        rows = [(found.format(a), table.predict(found, a, allow_partial=allow_partial, uncalibrated=uncalibrated)) for a in archs]
        figures = _figures(table, found.name, uncalibrated=uncalibrated)
        if json:
            print_json([{"arch": text} | plain(prediction) | {"validation": plain(figures)} for text, prediction in rows])
            return
        print_rows(
            [
                Column("architecture", "key"),
                "latency",
                "interval",
                "coverage",
                Column("missing", "prose"),
                Column("flags", "words"),
            ],
            [
                [
                    text,
                    latency(p.estimate) if p.coverage else "-",
                    interval(p.low, p.high),
                    f"{100 * p.coverage:.0f} %",
                    " ".join(p.missing),
                    " ".join(p.flags),
                ]
                for text, p in rows
            ],
        )
        say(
            f"{'; '.join(dict.fromkeys(p.composed for _, p in rows))}: "
            + (
                words(figures) + f" on {figures.n} networks of {found.name}"
                if figures
                else f"never validated against whole networks of {found.name}"
            )
        )
        for line in _busy([p for _, p in rows]):
            say(line)
        say_table(table)


def _busy(found: Sequence[Prediction]) -> list[str]:
    """How many predictions add up entries that a busy machine measured."""
    from lutfarm.statistics.estimates.flags import BUSY

    busy = [one for one in found if not BUSY.isdisjoint(one.flags)]
    told = ", ".join(sorted({flag for one in busy for flag in one.flags} & BUSY))
    return [f"{len(busy)} of {len(found)} add up entries that a busy machine measured ({told})"] if busy else []


def _figures(table: LatencyTable, space: str, *, uncalibrated: bool) -> Figures | None:
    """How such predictions of the space held up."""
    known = table.validation(space)
    if known is None or uncalibrated or table.calibration(space) is None:
        return known and known.figures
    return known.calibrated and known.calibrated.figures


def report(
    table_file: TableArgument,
    out: Annotated[Path, typer.Option("--out", help="FILE.html.")],
    device: DeviceOption = None,
    backend: BackendOption = None,
    title: Annotated[str | None, typer.Option(help="The page's heading; default: the job's name.")] = None,
    json: JsonOption = False,
) -> None:
    """Write a table's report: one HTML page that loads nothing, with its validation."""
    with exit_codes.exits():
        from lutfarm.lut import load
        from lutfarm.lut.verdict import table_verdict
        from lutfarm.report import render_report

        if out.suffix.lower() not in (".html", ".htm") and (out.is_file() or not out.exists()):
            raise SpecError(f"--out {out}: a report is a page; name it FILE.html")
        table = select(load(table_file), device, backend)
        render_report(table, out=out, title=title or table.manifest.job_name, target=None)
        judged = table_verdict(table)
        if json:
            print_json({"verdict": plain(judged), "file": str(out)})
            return
        say_verdict(judged)
        say_table(table)
        say(f"written: {quoted(str(out))}")
