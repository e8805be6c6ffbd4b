"""How a command is told which table, and which part of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lutfarm.lut import LatencyTable

TableArgument = Annotated[Path, typer.Argument(metavar="TABLE", help="A table file: .json, .csv or .parquet.")]
DeviceOption = Annotated[str | None, typer.Option("--device", help="Only this device's entries.")]
BackendOption = Annotated[str | None, typer.Option("--backend", help="Only this backend's, as `show` prints it.")]


def select(table: LatencyTable, device: str | None, backend: str | None) -> LatencyTable:
    """The part of a table for one device and backend, where they are given."""
    return table.select(device=device, backend=backend) if device or backend else table
