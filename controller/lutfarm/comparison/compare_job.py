"""From a job, one that compares or another, to what measures it as its kind is measured; and to what came of a comparison."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from lutfarm.comparison.pairing import PairStrategy
from lutfarm.comparison.result import Comparison, compared
from lutfarm.comparison.sides import WorkloadPairs, names_of, plan_pairs
from lutfarm.records.job import Job
from lutfarm.scheduling.stop_rule import pair_rule
from lutfarm.store import Store
from lutfarm.submission import submit
from lutfarm.submission.submission import Submission
from lutfarm_jobs.errors import WrongState
from lutfarm_jobs.expand import expand, resolve
from lutfarm_jobs.sources import Sources
from lutfarm_jobs.spec import JobSpec, stored_job


@dataclass(frozen=True, slots=True)
class PairedSubmission:
    """What is measured, and which of it belongs together."""

    submitted: Submission
    sources: Sources
    pairs: WorkloadPairs

    def result(self, store: Store, job_id: str, *, margin: float) -> Comparison:
        """What the store has of the job says; `margin`: B may take so much longer, 0.03 is 3 %."""
        spec = self.submitted.spec
        return compared(store, job_id, self.pairs, names_of(spec), margin=margin, confidence=spec.sampling.confidence)


def submit_pairs(spec: JobSpec, folder: Path, store: Store, *, retry_failed: bool = False) -> PairedSubmission:
    """A job of two sides (see sides.spec_of), without what has no partner.  Raises SpecError."""
    submitted, sources = submit.submit(spec, folder, store, retry_failed=retry_failed)
    spec = submitted.spec  # with what the files of its spaces say
    pairs = plan_pairs(spec, submitted.plan)
    wanted = {key for pair in pairs.keys for key in pair}
    strategy = PairStrategy(pairs.keys, spec.id, pair_rule(spec))
    plan = tuple(m for m in submitted.plan if m.key in wanted)
    return PairedSubmission(replace(submitted, plan=plan, strategy=strategy), sources, pairs)


def submit_any(spec: JobSpec, folder: Path, store: Store, *, retry_failed: bool = False) -> tuple[Submission, Sources]:
    """A job of whatever kind: in pairs where it compares.  Raises SpecError."""
    if spec.compares is None:
        return submit.submit(spec, folder, store, retry_failed=retry_failed)
    paired = submit_pairs(spec, folder, store, retry_failed=retry_failed)
    return paired.submitted, paired.sources


def stored_comparison(store: Store, job: Job, folder: Path, *, margin: float) -> Comparison:
    """What a job that compares has come to by now; `folder`: where the model files lie that it names.

    Raises WrongState for another job, SpecError where its files are gone, NothingCompared where too little is measured.
    """
    spec = stored_job(job.spec_json)
    if spec.compares is None:
        raise WrongState(f"{job.id} compares nothing: its table is what it came to")
    devices = list(dict.fromkeys((spec.compares.a.device, spec.compares.b.device)))
    pairs = plan_pairs(spec, expand(spec, resolve(spec, folder), devices))
    return compared(store, job.id, pairs, names_of(spec), margin=margin, confidence=spec.sampling.confidence)
