"""Exit codes: stable, documented in docs/cli.md; and the one place where a FarmError is caught."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import typer

from lutfarm.cli.terminal.output import printable, say
from lutfarm.cli.terminal.signals import Interrupted
from lutfarm_jobs.errors import (
    DeviceError,
    FarmError,
    LinkError,
    MeasurementError,
    NothingCompared,
    RunnerBug,
    SpecError,
    StoreError,
    StoreNewer,
    StoreUnwritable,
)
from lutfarm_jobs.extras import extras

OK = 0
INCOMPLETE = 1  # the job ended, and something is missing
BAD_INPUT = 2  # a file, an argument, a home that can't be used
DEVICE_TROUBLE = 3  # link or device
STORE_TROUBLE = 4
SLOWER = 1  # `compare`: by more than the margin
UNDECIDED = 5  # `compare`: the interval holds the margin, or a workload is left out
BUG = 70
INTERRUPTED = 130  # 128 + SIGINT, as shells say it; 143 after SIGTERM

_BY_KIND = (
    (NothingCompared, UNDECIDED),
    ((SpecError, StoreNewer, StoreUnwritable), BAD_INPUT),
    ((LinkError, DeviceError), DEVICE_TROUBLE),
    (StoreError, STORE_TROUBLE),
    (MeasurementError, INCOMPLETE),
    (RunnerBug, BUG),
)


def exit_code(error: FarmError) -> int:
    """The exit code of an error."""
    return next((code for kind, code in _BY_KIND if isinstance(error, kind)), BUG)


@contextmanager
def exits(on_interrupt: str = "interrupted; what arrived is stored, the same command goes on from there") -> Generator[None]:
    """Turn a FarmError into a message and an exit code; an interrupt into 130, or 143 after SIGTERM."""
    try:
        with extras():
            yield
    except FarmError as error:
        say(f"error: {printable(error.detail)}")
        raise typer.Exit(exit_code(error)) from error
    except KeyboardInterrupt as error:
        say(on_interrupt)
        code = 128 + error.signum if isinstance(error, Interrupted) else INTERRUPTED
        raise typer.Exit(code) from error
