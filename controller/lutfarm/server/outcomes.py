"""What jobs came to that are measured for more than a table, derived whenever it is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lutfarm.comparison import Comparison
from lutfarm.comparison.compare_job import stored_comparison
from lutfarm.results.validate_job import validated_by
from lutfarm.server.intake.job_folders import told_by_names
from lutfarm.server.turnstile import Turnstile
from lutfarm.store.interface import Store, job_called
from lutfarm.validation import Validated


@dataclass(slots=True)
class Outcomes:
    """Of one store; `folder`: of the jobs' folders."""

    store: Store
    folder: Path
    _turnstile: Turnstile = field(default_factory=lambda: Turnstile("what jobs came to", patience_s=120.0))

    def comparison(self, name: str, margin: float) -> Comparison:
        """Of a job that compares.  Raises NotFound, WrongState, NothingCompared, SpecError, ServerBusy."""
        job, _ = job_called(self.store, name)
        folder = self.folder / job.id
        with self._turnstile.turn(), told_by_names(folder):
            return stored_comparison(self.store, job, folder, margin=margin)

    def validation(self, name: str) -> Validated:
        """Of a job that validates another one's table.  Raises NotFound, WrongState, SpecError, ServerBusy."""
        job, _ = job_called(self.store, name)
        with self._turnstile.turn():
            return validated_by(self.store, job)
