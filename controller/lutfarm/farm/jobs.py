"""What every way to a farm gives: a job that was submitted, and how it stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lutfarm.api.answers import DeviceAnswer, JobStanding
from lutfarm.api.requests import SideRequest
from lutfarm.comparison import Comparison
from lutfarm.lut import LatencyTable
from lutfarm.monitoring.why import Why
from lutfarm.validation import Validated
from lutfarm_jobs.errors import WrongState
from lutfarm_jobs.spec import JobSpec, Study

JobLike = str | Path | JobSpec | Mapping[str, object]
"""A job file's path, a checked job, or what a job file would say."""
Told = Callable[[JobStanding], None]


class SubmittedJob(Protocol):
    """A job that a farm has."""

    @property
    def id(self) -> str:
        """Its name and a digest of its content: the same job again is this job."""
        ...

    def standing(self) -> JobStanding:
        """How far it is."""
        ...

    def wait(self, progress: bool | Told = False) -> JobStanding:  # noqa: FBT001, FBT002
        """Until it is over, however it ends: look at `state`.  True: changes go to standard error, a line each.

        In a home on this machine this is what measures.
        """
        ...

    def why(self) -> Sequence[Why]:
        """Why it is where it is, device by device."""
        ...

    def cancel(self, why: str = "") -> None:
        """End it; what was measured stays.  Raises WrongState where there is nothing to end."""
        ...

    def table(self, *, pool: str | None = None, device: str | None = None, backend: str | None = None) -> LatencyTable:
        """What is measured until now, as `lutfarm lut export` writes it.

        Raises WrongState where the job has ended, and nothing of it was measured.
        """
        ...


def require_whole(now: JobStanding) -> None:
    """Raises WrongState where a job ended before it came to what it was for."""
    if now.state in ("cancelled", "failed") or (now.state == "open" and now.reason):
        raise WrongState(f"{now.id} is {now.state}: {now.reason or 'nobody said why'}; the same again goes on with it")


def require_entries(table: LatencyTable, job: SubmittedJob) -> LatencyTable:
    """The table of a job; raises WrongState where it is empty, and will stay so."""
    if not table.entries and (now := job.standing()).state in ("cancelled", "failed"):
        raise WrongState(f"{now.id} is {now.state} ({now.reason or 'nobody said why'}), and nothing of it was measured: no table")
    return table


@dataclass(frozen=True, slots=True)
class Sides:
    """A comparison that is asked for: see Farm.compare."""

    a: SideRequest
    b: SideRequest
    margin: float
    rounds: int
    target: float | None


class Way(Protocol):
    """To one farm."""

    def compare(self, job: JobLike, sides: Sides, progress: bool | Told) -> Comparison:  # noqa: FBT001
        """Measure two sides in pairs, and say whether B is slower.  Raises SpecError, NothingCompared, WrongState."""
        ...

    def validate(self, wanted: Study, space: str | None, progress: bool | Told) -> Validated:  # noqa: FBT001
        """Measure networks for the table of the job that `wanted` names.  Raises SpecError, WrongState."""
        ...

    def submit(self, job: JobLike, *, priority: int, retry_failed: bool) -> SubmittedJob:
        """Check a job and give it to the farm.  Raises SpecError."""
        ...

    def job(self, name: str) -> SubmittedJob:
        """By its id, the start of it, or its name.  Raises SpecError, NotFound."""
        ...

    def devices(self) -> Sequence[DeviceAnswer]:
        """All registered devices, by name."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...
