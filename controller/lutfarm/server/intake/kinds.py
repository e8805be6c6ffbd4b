"""What a job may be asked for beside its own table: two sides compared, or another job's table validated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lutfarm.comparison import spec_of
from lutfarm.comparison.compare_job import submit_any
from lutfarm.records.queued_job import QueuedJob
from lutfarm.results.validate_job import table_to_validate, validation_spec
from lutfarm.server.intake.job_folders import JOB_FILE, SPEC_FILE
from lutfarm.store.interface import Store
from lutfarm.submission.submission import Submission
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.job_file.named_files import require_name, require_own_folder
from lutfarm_jobs.sources import Sources
from lutfarm_jobs.spec import JobSpec, load_job, stored_job


@dataclass(frozen=True, slots=True)
class Compares:
    """The job's workloads on two sides: see comparison.sides.spec_of."""

    a: Mapping[str, str]
    b: Mapping[str, str]
    rounds: int
    target: float | None = None


@dataclass(frozen=True, slots=True)
class Validates:
    """Networks for the table of a job that the farm has: see results.validate_job."""

    job: str
    networks: int
    calibrate: int = 0
    seed: int = 0
    space: str | None = None


def asked_spec(folder: Path, kind: Compares | Validates | None, store: Store) -> JobSpec:
    """What is to be measured, by the job file in a folder, if its kind has one.  Raises SpecError, NotFound."""
    if isinstance(kind, Validates):
        if kind.space is not None and kind.space.endswith((".yaml", ".yml")):
            require_name(kind.space)
        asked = table_to_validate(store, kind.job, kind.space, folder)
        return validation_spec(store, asked, networks=kind.networks, calibrate=kind.calibrate, seed=kind.seed)
    spec = load_job(folder / JOB_FILE)
    require_own_folder(spec)
    return spec if kind is None else spec_of(spec, kind.a, kind.b, rounds=kind.rounds, target=kind.target)


def keep_spec(spec: JobSpec, folder: Path) -> None:
    """Beside the job's files, where `loaded` finds it however often the farm's processes are killed until then."""
    (folder / SPEC_FILE).write_text(spec.model_dump_json(), encoding="utf-8")


def loaded(entry: QueuedJob, store: Store) -> tuple[Submission, Sources]:
    """A queued job with what its names stand for now, measured as its kind is.  Raises SpecError."""
    folder = Path(entry.folder)
    try:
        text = (folder / SPEC_FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise SpecError(f"{folder / SPEC_FILE} can't be read ({error}): submit the job again") from error
    submitted, sources = submit_any(stored_job(text), folder, store, retry_failed=entry.retry_failed)
    known = store.job(entry.job_id)
    if submitted.spec.id != entry.job_id or known is None:
        raise SpecError(f"{entry.folder} holds {submitted.spec.id} by now, not {entry.job_id}: submit it again")
    job = known[0]
    return replace(submitted, user=job.user, priority=job.priority, until_s=entry.until_s), sources
