"""What a job asks for, before it is spread over units and backends.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.measurement import Workload
from lutfarm_jobs.measurement_key import BUILT_BATCH, BUILT_PRECISION
from lutfarm_jobs.spec import BackendChoice, JobSpec


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
    for one in asked:
        if one.workload.path:
            paths.setdefault(one.workload.key, {})[one.workload.path] = None
    several = {key: ", ".join(copies) for key, copies in paths.items() if len(copies) > 1}
    return tuple(
        replace(one, workload=replace(one.workload, path=several[one.workload.key]))
        if several and one.workload.key in several
        else one
        for one in asked
    )


def check_precisions(spec: JobSpec, asked: Sequence[Wanted]) -> None:
    """Raises SpecError where a backend says another precision than what it would run, or one that nothing has."""
    for one in asked:
        possible = [choice for choice in spec.backends if choice.runtime in one.runtimes]
        if not any(one.fits(choice) for choice in possible):
            said = " and ".join(dict.fromkeys(f"{choice.runtime} with precision: {choice.precision}" for choice in possible))
            raise SpecError(f"{one.called} {one.computes}, and the job runs it on {said}; {one.cure}")
    for position, choice in enumerate(spec.backends):
        of_runtime = [one for one in asked if choice.runtime in one.runtimes]
        if of_runtime and not any(one.fits(choice) for one in of_runtime):
            has = ", ".join(dict.fromkeys(one.precision or "unknown" for one in of_runtime))
            raise SpecError(
                f"backends[{position}] says precision: {choice.precision}, and nothing that the job runs on {choice.runtime} "
                f"has it (there is: {has}); leave it out"
            )
