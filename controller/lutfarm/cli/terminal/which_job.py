"""Which job a person means: several may have one name."""

from __future__ import annotations

from lutfarm.cli.terminal.output import printable, say
from lutfarm.records.job import Job
from lutfarm.store.interface import JobCounts, JobStore, also_called, job_called

MOST_NAMED = 3


def job_meant(store: JobStore, name: str) -> tuple[Job, JobCounts]:
    """By its id, its name or the start of its id; of several of one name the newest, which is said.  Raises SpecError."""
    job, counts = job_called(store, name)
    if others := also_called(store, name, job):
        named = ", ".join(others[:MOST_NAMED]) + (f" and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else "")
        say(printable(f"{1 + len(others)} jobs are called {name}: this is the newest, {job.id}; by its id you have {named}"))
    return job, counts
