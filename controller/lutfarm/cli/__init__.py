"""The command line: the only place that prints or exits."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import Any

import typer
from typer.core import TyperGroup

# Module and name of each command.  A command's module is imported when the command is used: all of them
# together take two seconds, most of it plots and columns that few commands need.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": ("demo", "demo"),
    "run": ("run", "run"),
    "plan": ("run", "plan"),
    "compare": ("compare", "compare"),
    "device": ("device", "app"),
    "job": ("job", "app"),
    "lut": ("lut", "app"),
    "status": ("monitor", "status"),
    "metrics": ("monitor", "metrics"),
    "bundle": ("bundle", "app"),
    "doctor": ("doctor", "doctor"),
}


class _Lazy(TyperGroup):
    """A group that imports its commands when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """All of them, in the order in which one meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """One command, or None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name]
        found = getattr(importlib.import_module(f"lutfarm.cli.{module}"), attribute)
        if not isinstance(found, typer.Typer):
            alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            alone.command(cmd_name)(found)
            found = alone
        command = typer.main.get_command(found)
        command.name = cmd_name                    # a group has none of its own, and --help would show a blank
        return command


app = typer.Typer(
    name="lutfarm",
    cls=_Lazy,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def lutfarm() -> None:
    """Measure how long operators and models take on real devices, and turn that into lookup tables."""
    # onnxruntime's Linux wheels send telemetry unless told otherwise; children inherit this.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def main() -> None:
    """The `lutfarm` command."""
    app()
