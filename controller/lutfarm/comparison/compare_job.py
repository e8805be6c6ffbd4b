"""From a comparison's job to two sides that are measured in turn, and to what came of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from lutfarm.comparison.pairing import PairStrategy
from lutfarm.comparison.result import Comparison, compared
from lutfarm.comparison.sides import WorkloadPairs, names_of, plan_pairs
from lutfarm.scheduling.stop_rule import pair_rule
from lutfarm.store import Store
from lutfarm.submission import submit
from lutfarm.submission.submission import Submission
from lutfarm_jobs.sources import Sources
from lutfarm_jobs.spec import JobSpec


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


def submit_pairs(spec: JobSpec, folder: Path, store: Store) -> PairedSubmission:
    """A job of two sides (see sides.spec_of), without what has no partner.  Raises SpecError."""
    submitted, sources = submit.submit(spec, folder, store)
    spec = submitted.spec  # with what the files of its spaces say
    pairs = plan_pairs(spec, submitted.plan)
    wanted = {key for pair in pairs.keys for key in pair}
    strategy = PairStrategy(pairs.keys, spec.id, pair_rule(spec))
    plan = tuple(m for m in submitted.plan if m.key in wanted)
    return PairedSubmission(replace(submitted, plan=plan, strategy=strategy), sources, pairs)
