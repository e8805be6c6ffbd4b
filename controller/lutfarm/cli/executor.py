"""What measures: Ray, or this process.  Imports neither."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lutfarm.execution.open_farm import ExecutorKind

ExecutorOption = Annotated[
    str | None, typer.Option("--executor", help="ray, or local: in this process.", show_default="ray where it is installed")
]
INSTALL = "pip install 'lutfarm[ray]'"
WITHOUT_RAY = f"Ray is not installed, so this process measures; to measure through Ray: {INSTALL}"


@dataclass(frozen=True, slots=True)
class Executor:
    """What measures; `why` is said once something is measured, where nobody asked for it."""

    kind: ExecutorKind
    why: str = ""


def executor_of(asked: str | None) -> Executor:
    """What `--executor` says; without it Ray where that is installed, else this process.  Raises BadParameter."""
    installed = importlib.util.find_spec("ray") is not None
    if asked is None:
        return Executor("ray") if installed else Executor("local", WITHOUT_RAY)
    if asked == "ray" and not installed:
        raise typer.BadParameter(f"Ray is not installed: {INSTALL}, or leave the option out", param_hint="--executor")
    if asked == "ray" or asked == "local":
        return Executor(asked)
    raise typer.BadParameter(f"{asked!r} is neither ray nor local", param_hint="--executor")
