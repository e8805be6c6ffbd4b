"""`lutfarm lut report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lutfarm.cli import exit_codes
from lutfarm.cli.terminal.output import JsonOption, plain, print_json, quoted, say
from lutfarm.cli.terminal.say_table import say_table, say_verdict
from lutfarm.cli.terminal.table_options import BackendOption, DeviceOption, TableArgument, select
from lutfarm_jobs.errors import SpecError


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
