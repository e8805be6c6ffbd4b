"""The `lutfarm` program: its options, and what all of its commands share."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from lutfarm.cli.commands import COMMANDS
from lutfarm.cli.groups import LazyGroup
from lutfarm.home import SERVER


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
    server: Annotated[
        str | None,
        typer.Option("--server", metavar="URL", help="A served farm; default $LUTFARM_SERVER, else this machine's own."),
    ] = None,
) -> None:
    """Measure how long operators and models take on real devices, and turn that into lookup tables."""
    # onnxruntime's Linux wheels send telemetry unless told otherwise; children inherit this.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    if server is not None:
        os.environ[SERVER] = server


def main() -> None:
    """The `lutfarm` command."""
    app()
