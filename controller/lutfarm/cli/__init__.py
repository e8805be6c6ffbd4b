"""The command line: the only place that prints or exits."""

from __future__ import annotations

import os

import typer

# onnxruntime's Linux wheels send telemetry unless told otherwise, and children inherit this.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from lutfarm.cli import demo, devices, doctor, jobs, lut, run

app = typer.Typer(
    name="lutfarm",
    help="Measure how long operators and models take on real devices, and turn that into lookup tables.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("plan")(run.plan)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.add_typer(devices.app, name="device")
app.add_typer(jobs.app, name="job")
app.add_typer(lut.app, name="lut")


def main() -> None:
    """The `lutfarm` command."""
    app()
