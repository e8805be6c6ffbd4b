"""The command line: the only place that prints or exits."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated

import typer

from lutfarm.cli.groups import LazyCommand, LazyGroup

# Each command's first sentence stands here a second time, so that the list of all commands imports none of them:
# together they take three seconds, most of it plots, columns and transports that few commands need.
COMMANDS: Mapping[str, LazyCommand] = {
    "demo": LazyCommand(
        "lutfarm.cli.demo",
        "demo",
        "Measure FBNet's operators on this machine, predict networks, measure those, show the error and calibrate.",
    ),
    "run": LazyCommand("lutfarm.cli.run", "run", "Measure what the job asks for and the store does not have yet."),
    "plan": LazyCommand(
        "lutfarm.cli.run", "plan", "What would be measured, what is reused, how long it will take.  Changes nothing."
    ),
    "compare": LazyCommand(
        "lutfarm.cli.compare",
        "compare",
        "Measure two sides in turn, in one sitting, and say whether B is slower.  Exit code 1: it is; 5: undecided.",
    ),
    "device": LazyCommand("lutfarm.cli.device", "app", "The devices of the farm."),
    "job": LazyCommand("lutfarm.cli.job", "app", "The jobs of the farm."),
    "lut": LazyCommand("lutfarm.cli.lut", "app", "Latency lookup tables."),
    "status": LazyCommand(
        "lutfarm.cli.monitor",
        "status",
        "What every device is doing: its state and why, temperature, last check, what runs, time left.",
    ),
    "metrics": LazyCommand("lutfarm.cli.monitor", "metrics", "The farm's metrics for Prometheus, over HTTP until Ctrl-C."),
    "bundle": LazyCommand("lutfarm.cli.bundle", "app", "Python and a runtime in one folder, for devices that have neither."),
    "doctor": LazyCommand(
        "lutfarm.cli.doctor",
        "doctor",
        "Look at this installation: versions, home, store, cores, the runner on this machine.  Exit 1 if something is wrong.",
    ),
}


class _Commands(LazyGroup):
    lazy = COMMANDS


app = typer.Typer(name="lutfarm", cls=_Commands, pretty_exceptions_enable=False, rich_markup_mode=None)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # 20 ms, which only this option needs

        typer.echo(f"lutfarm {version('lutfarm')}")
        raise typer.Exit


@app.callback()
def lutfarm(
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Name and version.")
    ] = False,
) -> None:
    """Measure how long operators and models take on real devices, and turn that into lookup tables."""
    # onnxruntime's Linux wheels send telemetry unless told otherwise; children inherit this.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def main() -> None:
    """The `lutfarm` command."""
    app()
