"""Measures a submission while a person watches: what run, compare, validate and plan share."""

from __future__ import annotations

from collections.abc import Iterable

from lutfarm.cli.executor import INSTALL, Executor
from lutfarm.cli.terminal.output import printable
from lutfarm.cli.terminal.run_progress import RunDisplay
from lutfarm.cli.terminal.signals import deferred
from lutfarm.execution.open_farm import ExecutorKind, open_farm
from lutfarm.execution.run_job import JobOutcome
from lutfarm.home import Home
from lutfarm.store import Store
from lutfarm.submission.submission import Submission
from lutfarm_agents.device import Device
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.sources import Sources


def check_reach(devices: Iterable[Device], executor: ExecutorKind) -> None:
    """Raises SpecError for devices of other hosts where this process alone measures."""
    away = sorted(f"{device.name} (on {device.host})" for device in devices if device.host != "local")
    if executor == "local" and away:
        raise SpecError(
            f"{printable(', '.join(away[:5]))}: this process measures only what hangs on this machine; "
            f"take other devices, or measure through Ray: --executor ray, after {INSTALL} where it is not installed"
        )


def measure(
    submitted: Submission, sources: Sources, store: Store, home: Home, *, executor: Executor, brief: bool
) -> tuple[JobOutcome, int]:
    """How it ended, and how many runs were made now.  An interrupt waits until what arrived is committed."""
    check_reach([each.device for each in submitted.devices.values()], executor.kind)
    with (
        deferred() as check,
        open_farm(submitted, store, home, kind=executor.kind) as farm,
        RunDisplay(check=check, brief=brief, note=executor.why) as display,
    ):
        check()
        return farm.run(submitted, sources, display), display.runs
