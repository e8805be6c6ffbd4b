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

MORE_BUDGET = "raise sampling.device_time_budget_s, or the same again goes on for as long once more"


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """How a job ended; `missing` are the measurements with neither a complete run nor a failure."""

    job: JobProgress
    units: Mapping[str, Unit]  # that it might use
    missing: tuple[str, ...]
    left: tuple[str, ...] = ()  # wanted still, of devices that are out of work
    together: bool = False  # one of its devices is of no use to it without all others

    @property
    def job_id(self) -> str:
        """Of the job."""
        return self.job.id

    @property
    def whole(self) -> bool:
        """Whether nothing is missing, nor wanted still."""
        return not (self.missing or self.left or self.broken_off)

    @property
    def broken_off(self) -> bool:
        """Whether it ended before its time because one of the devices that it needs together was out of work."""
        return self.together and not self.job.rounds and bool(self.job.gave_up or any(u.out for u in self.units.values()))

    @property
    def out_of_work(self) -> str:
        """Whether its time was up; which of its devices were out of work then, or broke its orders alone, and why."""
        out = [f"{unit.name} was {unit.out} then: {unit.quarantined}" for unit in self.units.values() if unit.out]
        broke = [f"{unit} broke its orders and no others: {why}" for unit, why in self.job.gave_up.items()]
        over = ["its time was up"] if self.job.time_up and not self.whole else []
        return "; ".join(over + out + broke)

    @property
    def reason(self) -> str:
        """Why it ended before everything was measured, whoever has to act."""
        short = not self.job.rounds or any(self.job.wants(key) for key in self.job.plan)
        spent = [unit for unit in self.units if self.job.spent(unit)] if short else []
        budget = [f"its device-time budget of {', '.join(spent)} is spent: {MORE_BUDGET}"] if spent else []
        return "; ".join([*filter(None, [self.out_of_work]), *budget])


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
            ended = outcome(job, sitting.units_of(job), together=submission.strategy.together)
        close(self.store, ended)
        if job.stopped:
            raise from_wire(*job.stopped)
        return ended


def outcome(job: JobProgress, units: Mapping[str, Unit], *, together: bool = False) -> JobOutcome:
    """How a job that is over has ended; `units`: those that it might use; `together`: it needs them all at once."""
    missing = tuple(key for key in job.plan if not job.progress(key).failed and not job.progress(key).complete)
    return JobOutcome(job, units, missing, left_over(job, units), together)


def close(store: JobStore, ended: JobOutcome) -> None:
    """Store how it ended."""
    if ended.job.stopped:
        code, detail = ended.job.stopped
        store.close_job(ended.job_id, "failed", f"{code}: {detail}")
    else:
        store.close_job(ended.job_id, "complete" if ended.whole else "open", ended.reason)
