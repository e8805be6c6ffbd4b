"""To a farm that is served."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from lutfarm.api.answers import DeviceAnswer, JobStanding
from lutfarm.client.remote_farm import RemoteFarm
from lutfarm.comparison import Comparison
from lutfarm.farm.jobs import JobLike, Sides, SubmittedJob, Told, require_entries, require_whole
from lutfarm.farm.progress import teller
from lutfarm.lut import LatencyTable
from lutfarm.monitoring.why import Why
from lutfarm.validation import Validated
from lutfarm_jobs.job_file.workloads import ModelsWorkload, SpaceWorkload, WorkloadChoice
from lutfarm_jobs.spec import JobSpec, Study, parse_job


@dataclass(frozen=True, slots=True)
class ServedJob:
    """A job of it."""

    farm: RemoteFarm
    id: str

    def standing(self) -> JobStanding:
        """How far it is."""
        return self.farm.job(self.id)

    def wait(self, progress: bool | Told = False) -> JobStanding:  # noqa: FBT001, FBT002
        """Until it is over."""
        tell = teller(progress)
        for now in self.farm.follow(self.id):
            tell(now)
        return self.standing()

    def why(self) -> Sequence[Why]:
        """Device by device."""
        return self.farm.why(self.id).devices

    def cancel(self, why: str = "") -> None:
        """End it."""
        self.farm.cancel(self.id, why)

    def table(self, *, pool: str | None = None, device: str | None = None, backend: str | None = None) -> LatencyTable:
        """What is measured until now."""
        return require_entries(self.farm.table(self.id, pool=pool, device=device, backend=backend), self)


@dataclass(frozen=True, slots=True)
class ServedWay:
    """Over its API."""

    farm: RemoteFarm

    def submit(self, job: JobLike, *, priority: int, retry_failed: bool) -> SubmittedJob:
        """With the files that it names."""
        with _file_of(job) as path:
            found = self.farm.submit(path, priority=priority, retry_failed=retry_failed)
        return ServedJob(self.farm, found.id)

    def compare(self, job: JobLike, sides: Sides, progress: bool | Told) -> Comparison:  # noqa: FBT001
        """As a job of the farm's, which goes on whatever becomes of this program."""
        with _file_of(job) as path:
            found = self.farm.compare(path, sides.a.settings, sides.b.settings, rounds=sides.rounds, target=sides.target)
        require_whole(ServedJob(self.farm, found.id).wait(progress))
        return self.farm.comparison(found.id, margin=sides.margin)

    def validate(self, wanted: Study, space: str | None, progress: bool | Told) -> Validated:  # noqa: FBT001
        """As a job of the farm's, which goes on whatever becomes of this program."""
        found = self.farm.validate(
            wanted.job, networks=wanted.networks, calibrate=wanted.calibrate, seed=wanted.seed, space=space
        )
        require_whole(ServedJob(self.farm, found.id).wait(progress))
        return self.farm.validation(found.id)

    def job(self, name: str) -> SubmittedJob:
        """By its id, the start of it, or its name."""
        return ServedJob(self.farm, self.farm.job(name).id)

    def devices(self) -> Sequence[DeviceAnswer]:
        """By name."""
        return list(self.farm.devices())

    def close(self) -> None:
        """Let go of its connections."""
        self.farm.close()


@contextmanager
def _file_of(job: JobLike) -> Generator[Path]:
    """Its job file, there until the block ends."""
    if isinstance(job, str | Path):
        yield Path(job)
        return
    spec = job if isinstance(job, JobSpec) else parse_job(dict(job), source="job")
    with tempfile.TemporaryDirectory(prefix="lutfarm-") as folder:
        yield _written(spec, Path(folder))


def _written(spec: JobSpec, folder: Path) -> Path:
    """A job file with the model files that lie beside this program: what a farm takes lies beside its job file."""
    workloads = [_beside(each, folder, at) for at, each in enumerate(spec.workloads)]
    path = folder / "job.yaml"
    content = spec.model_copy(update={"workloads": tuple(workloads)}).model_dump(mode="json", exclude_unset=True)
    path.write_text(yaml.safe_dump(content))
    return path


def _beside(workload: WorkloadChoice, folder: Path, at: int) -> WorkloadChoice:
    """With its model files or its space's file in the folder."""
    if isinstance(workload, ModelsWorkload):
        moved = tuple(_copied(name, folder / f"{at}-{number}", folder) for number, name in enumerate(workload.models))
        return workload.model_copy(update={"models": moved})
    if isinstance(workload, SpaceWorkload):
        return workload.model_copy(update={"space": _copied(workload.space, folder / f"{at}-space", folder)})
    return workload


def _copied(name: str, place: Path, folder: Path) -> str:
    """The name of the copy; what is no file stays as it is: a glob, a known space, or a name that the farm will refuse."""
    path = Path(name)
    if not path.is_file():
        return name
    place.mkdir()
    shutil.copyfile(path, place / path.name)
    return str((place / path.name).relative_to(folder))
