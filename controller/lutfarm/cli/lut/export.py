"""`lutfarm lut export`.  What a table is made of is imported when one is made: a help page needs none of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lutfarm.cli import exit_codes
from lutfarm.cli.terminal.output import HomeOption, JsonOption, plain, print_json, quoted, say
from lutfarm.cli.terminal.say_table import anew_words, say_table, say_verdict
from lutfarm.cli.terminal.table_options import BackendOption, DeviceOption
from lutfarm_jobs.errors import SpecError

if TYPE_CHECKING:
    from lutfarm.lut import LatencyTable


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
        from lutfarm.cli.which_farm import store_of
        from lutfarm.lut.files import save_all
        from lutfarm.lut.verdict import table_verdict
        from lutfarm.results.job_entries import judged_anew
        from lutfarm.results.validated_table import validated_table

        with store_of(home, to_read=True) as store:
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
