"""The main flow: from a job to committed runs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from lutfarm.agent_pool.interface import AgentPool
from lutfarm.execution.sitting import Sitting, Watcher
from lutfarm.scheduling.job_progress import JobProgress
from lutfarm.scheduling.state import left_over
from lutfarm.scheduling.unit import Unit
from lutfarm.store.interface import JobStore, Store
from lutfarm.submission.submission import Submission
from lutfarm_jobs.errors import from_wire
from lutfarm_jobs.sources import Sources


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """How a job ended; `missing` are the measurements with neither a complete run nor a failure."""

    job: JobProgress
    units: Mapping[str, Unit]  # that it might use
    missing: tuple[str, ...]
    left: tuple[str, ...] = ()  # wanted still, of devices that are out of work

    @property
    def job_id(self) -> str:
        """Of the job."""
        return self.job.id

    @property
    def whole(self) -> bool:
        """Whether nothing is missing, nor wanted still."""
        return not (self.missing or self.left)

    @property
    def out_of_work(self) -> str:
        """Whether its time was up; which of its devices were out of work then, or broke its orders alone, and why."""
        out = [f"{unit.name} was {unit.out} then: {unit.quarantined}" for unit in self.units.values() if unit.out]
        broke = [f"{unit} broke its orders and no others: {why}" for unit, why in self.job.gave_up.items()]
        over = ["its time was up"] if self.job.time_up and not self.whole else []
        return "; ".join(over + out + broke)


@dataclass(frozen=True, slots=True)
class Farm:
    """Everything that jobs run on."""

    store: Store
    pool: AgentPool
    models: Path  # where model files are built and kept
    owner: str  # see lutfarm_agents.process_identity
    holder: str  # readable, shown to others who wait

    def run(self, submission: Submission, sources: Sources, watch: Watcher) -> JobOutcome:
        """Measure what the store does not have yet; every run is committed when it arrives.

        Raises the FarmError that stopped the job, if one did; what was committed stays.
        """
        with closing(Sitting(self.store, self.pool, self.models, owner=self.owner, holder=self.holder)) as sitting:
            sitting.admit(submission, sources, watch)
            while submission.spec.id not in sitting.over():
                sitting.turn()
            job = sitting.state.job(submission.spec.id)
            ended = outcome(job, sitting.units_of(job))
        close(self.store, ended)
        if job.stopped:
            raise from_wire(*job.stopped)
        return ended


def outcome(job: JobProgress, units: Mapping[str, Unit]) -> JobOutcome:
    """How a job that is over has ended; `units`: those that it might use."""
    missing = tuple(key for key in job.plan if not job.progress(key).failed and not job.progress(key).complete)
    return JobOutcome(job, units, missing, left_over(job, units))


def close(store: JobStore, ended: JobOutcome) -> None:
    """Store how it ended."""
    if ended.job.stopped:
        code, detail = ended.job.stopped
        store.close_job(ended.job_id, "failed", f"{code}: {detail}")
    else:
        store.close_job(ended.job_id, "complete" if ended.whole else "open", ended.out_of_work)
