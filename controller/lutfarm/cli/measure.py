"""Measures a submission while a person watches: what run, compare, validate and plan share."""

from __future__ import annotations

from typing import Annotated

import typer

from lutfarm.cli.run_progress import RunDisplay
from lutfarm.cli.signals import deferred
from lutfarm.execution.open_farm import PoolKind, open_farm
from lutfarm.execution.run_job import Outcome
from lutfarm.home import Home
from lutfarm.store import Store
from lutfarm.submission.submission import Submission
from lutfarm_jobs.expand import Sources

PoolOption = Annotated[str, typer.Option("--pool", help="ray, or local for debugging.")]


def pool_kind(pool: str) -> PoolKind:
    """What `--pool` says.  Raises BadParameter."""
    if pool == "ray" or pool == "local":
        return pool
    raise typer.BadParameter(f"{pool!r} is neither ray nor local", param_hint="--pool")


def measure(
    submitted: Submission, sources: Sources, store: Store, home: Home, *, pool: PoolKind, brief: bool
) -> tuple[Outcome, int]:
    """How it ended, and how many runs were made now.  An interrupt waits until what arrived is committed."""
    with (
        deferred() as check,
        open_farm(submitted, sources, store, home, kind=pool) as farm,
        RunDisplay(submitted.policies, check=check, brief=brief) as display,
    ):
        check()
        return farm.run(submitted, display), display.runs
