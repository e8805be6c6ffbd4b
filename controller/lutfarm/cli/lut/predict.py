"""`lutfarm lut predict`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lutfarm.cli import exit_codes
from lutfarm.cli.terminal.output import Column, JsonOption, interval, latency, plain, print_json, print_rows, say
from lutfarm.cli.terminal.say_table import say_table
from lutfarm.cli.terminal.table_options import BackendOption, DeviceOption, TableArgument, select
from lutfarm_jobs.errors import SpecError

if TYPE_CHECKING:
    from lutfarm.lut import Prediction


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
        from lutfarm.lut.schema.figures import words
        from lutfarm_jobs.expand import load_space

        found = load_space(space, Path.cwd())
        archs = [found.parse(text) for text in arch or []]
        archs += found.random(seed, random) if random else ()
        if not archs:
            raise SpecError(f"give an architecture of {found.name}, or --random N")
        table = select(load(table_file), device, backend)
        rows = [(found.format(a), table.predict(found, a, allow_partial=allow_partial, uncalibrated=uncalibrated)) for a in archs]
        figures = table.figures(found.name, uncalibrated=uncalibrated)
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
