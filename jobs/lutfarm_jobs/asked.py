"""What a job asks for, before it is spread over devices and backends.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.job_file.measuring import BackendChoice
from lutfarm_jobs.measurement import Workload
from lutfarm_jobs.measurement_key import BUILT_BATCH, BUILT_PRECISION
from lutfarm_jobs.spec import JobSpec


@dataclass(frozen=True, slots=True)
class Wanted:
    """A workload that the job asks for, with the runtimes that it is for, and what is known of it."""

    workload: Workload
    runtimes: frozenset[str]
    precision: str = BUILT_PRECISION
    batch_size: int | None = BUILT_BATCH

    def fits(self, choice: BackendChoice) -> bool:
        """Whether a backend of the job runs it; one that says a precision runs nothing else."""
        return choice.runtime in self.runtimes and (bool(self.workload.refused) or choice.precision in (None, self.precision))

    @property
    def called(self) -> str:
        """For errors."""
        return self.workload.path or self.workload.name

    @property
    def computes(self) -> str:
        """For errors."""
        if self.workload.kind != "file":
            return f"is built in {self.precision}"
        return f"computes in {self.precision}" if self.precision else "does not tell in what precision it computes"

    @property
    def cure(self) -> str:
        """For errors."""
        if self.workload.kind != "file":
            return "leave precision out, and name a model file of that precision for it"
        return f"leave precision out, or say precision: {self.precision}" if self.precision else "leave precision out"


def with_all_paths(asked: Sequence[Wanted]) -> tuple[Wanted, ...]:
    """One file that lies in several places is measured once, and named by all of them."""
    paths: dict[str, dict[str, None]] = {}
    for wanted in asked:
        if wanted.workload.path:
            paths.setdefault(wanted.workload.key, {})[wanted.workload.path] = None
    several = {key: ", ".join(copies) for key, copies in paths.items() if len(copies) > 1}
    return tuple(
        replace(wanted, workload=replace(wanted.workload, path=several[wanted.workload.key]))
        if several and wanted.workload.key in several
        else wanted
        for wanted in asked
    )


def check_precisions(spec: JobSpec, asked: Sequence[Wanted]) -> None:
    """Raises SpecError where a backend says another precision than what it would run, or one that nothing has."""
    for wanted in asked:
        possible = [choice for choice in spec.backends if choice.runtime in wanted.runtimes]
        if not any(wanted.fits(choice) for choice in possible):
            said = " and ".join(dict.fromkeys(f"{choice.runtime} with precision: {choice.precision}" for choice in possible))
            raise SpecError(f"{wanted.called} {wanted.computes}, and the job runs it on {said}; {wanted.cure}")
    for position, choice in enumerate(spec.backends):
        of_runtime = [wanted for wanted in asked if choice.runtime in wanted.runtimes]
        if of_runtime and not any(wanted.fits(choice) for wanted in of_runtime):
            has = ", ".join(dict.fromkeys(wanted.precision or "unknown" for wanted in of_runtime))
            raise SpecError(
                f"backends[{position}] says precision: {choice.precision}, and nothing that the job runs on {choice.runtime} "
                f"has it (there is: {has}); leave it out"
            )
