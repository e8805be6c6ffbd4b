"""How a job stands, told to a program or a person."""

from __future__ import annotations

import sys

from lutfarm.api.answers import JobStanding
from lutfarm.farm.jobs import Told


def teller(progress: bool | Told) -> Told:  # noqa: FBT001
    """Who is told."""
    if callable(progress):
        return progress
    return _on_standard_error if progress else _nobody


def _nobody(_: JobStanding) -> None:
    """Is told nothing."""


def _on_standard_error(now: JobStanding) -> None:
    failed = f", {now.counts.failures} failed" if now.counts.failures else ""
    sys.stderr.write(f"{now.id}: {now.state}, {now.counts.runs} runs of {now.counts.measurements} measurements{failed}\n")
