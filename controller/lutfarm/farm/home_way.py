"""To the farm of a home on this machine: waiting for a job is what measures it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lutfarm.agent_pool.interface import Event, Measured, Probed
from lutfarm.api.answers import DeviceAnswer, JobAnswer, JobStanding
from lutfarm.comparison import Comparison, spec_of
from lutfarm.comparison.compare_job import submit_pairs
from lutfarm.execution.open_farm import ExecutorKind, open_farm
from lutfarm.execution.resume import Resumed
from lutfarm.execution.why_job import why_job
from lutfarm.farm.jobs import JobLike, Sides, SubmittedJob, Told, require_entries, require_whole
from lutfarm.farm.progress import teller
from lutfarm.home import Home
from lutfarm.lut import LatencyTable
from lutfarm.monitoring.why import Why
from lutfarm.records.job import Job
from lutfarm.results.validate_job import table_to_validate, validated_by, validation_spec
from lutfarm.results.validated_table import validated_table
from lutfarm.scheduling.job_progress import JobProgress
from lutfarm.scheduling.unit import Unit
from lutfarm.store import Store
from lutfarm.store.interface import job_called
from lutfarm.submission.submission import Submission
from lutfarm.submission.submit import submission, submit
from lutfarm.validation import Validated
from lutfarm_jobs.errors import WrongState
from lutfarm_jobs.sources import Sources
from lutfarm_jobs.spec import JobSpec, Study, load_job, parse_job


@dataclass(frozen=True, slots=True)
class HomeWay:
    """With a store that is open."""

    store: Store
    home: Home
    executor: ExecutorKind

    def submit(self, job: JobLike, *, priority: int, retry_failed: bool) -> SubmittedJob:
        """Checked, and kept as a job that is open."""
        if isinstance(job, str | Path):
            submitted, sources = submission(Path(job), self.store, retry_failed=retry_failed)
        else:
            submitted, sources = submit(_spec(job), Path.cwd(), self.store, retry_failed=retry_failed)
        return self._opened(replace(submitted, priority=priority), sources)

    def compare(self, job: JobLike, sides: Sides, progress: bool | Told) -> Comparison:  # noqa: FBT001
        """In one sitting of this program."""
        spec = spec_of(_spec(job), sides.a.settings, sides.b.settings, rounds=sides.rounds, target=sides.target)
        folder = Path(job).absolute().parent if isinstance(job, str | Path) else Path.cwd()
        paired = submit_pairs(spec, folder, self.store)
        made = self._opened(paired.submitted, paired.sources)
        require_whole(made.wait(progress))
        return paired.result(self.store, made.id, margin=sides.margin)

    def validate(self, wanted: Study, space: str | None, progress: bool | Told) -> Validated:  # noqa: FBT001
        """Against the table that this home has."""
        asked = table_to_validate(self.store, wanted.job, space, Path.cwd())
        spec = validation_spec(self.store, asked, networks=wanted.networks, calibrate=wanted.calibrate, seed=wanted.seed)
        made = self._opened(*submit(spec, Path("/"), self.store))
        require_whole(made.wait(progress))
        return validated_by(self.store, job_called(self.store, made.id)[0])

    def _opened(self, submitted: Submission, sources: Sources) -> HomeJob:
        spec = submitted.spec
        asked = Job(spec.id, spec.name, spec.model_dump_json(), time.time(), zeros=submitted.zeros, priority=submitted.priority)
        self.store.open_job(asked, submitted.plan)
        return HomeJob(self, spec.id, submitted, sources)

    def job(self, name: str) -> SubmittedJob:
        """One that the store has."""
        return HomeJob(self, job_called(self.store, name)[0].id)

    def devices(self) -> Sequence[DeviceAnswer]:
        """By name."""
        now_s = time.time()
        return [DeviceAnswer.of(device, self.store.device_record(device.name, now_s)) for device in self.store.devices()]

    def close(self) -> None:
        """Close the store."""
        self.store.close()


def _spec(job: JobLike) -> JobSpec:
    if isinstance(job, str | Path):
        return load_job(Path(job))
    return job if isinstance(job, JobSpec) else parse_job(dict(job), source="job")


@dataclass(frozen=True, slots=True)
class HomeJob:
    """A job of it; `submitted`: what this program gave, None where it only looks at a job that was there."""

    way: HomeWay
    id: str
    submitted: Submission | None = None
    sources: Sources | None = None

    def standing(self) -> JobStanding:
        """How far it is."""
        return JobStanding(**dict(JobAnswer.of(*job_called(self.way.store, self.id))), queue=None)

    def wait(self, progress: bool | Told = False) -> JobStanding:  # noqa: FBT001, FBT002
        """Measure what is left.  Raises the FarmError that stopped it; WrongState for a job that was only looked up."""
        if self.submitted is None or self.sources is None:
            if self.standing().state == "open":
                raise WrongState(f"{self.id} is not measured by this program: submit its job file again, or lutfarm run it")
            return self.standing()
        way, watch = self.way, _Watching(self, teller(progress))
        with open_farm(self.submitted, way.store, way.home, kind=way.executor) as farm:
            farm.run(self.submitted, self.sources, watch)
        watch.tell()
        return self.standing()

    def why(self) -> Sequence[Why]:
        """Device by device."""
        return why_job(self.way.store, self.id, time.time())[1]

    def cancel(self, why: str = "") -> None:
        """Close a job that is open; nothing runs for it while nobody waits for it."""
        if self.standing().state != "open":
            raise WrongState(f"{self.id} is {self.standing().state}: there is nothing to cancel")
        self.way.store.close_job(self.id, "cancelled", why)

    def table(self, *, pool: str | None = None, device: str | None = None, backend: str | None = None) -> LatencyTable:
        """What is measured until now."""
        table = validated_table(self.way.store, self.id, pool=pool, device=device, backend=backend)
        return require_entries(table, self)


@dataclass(slots=True)
class _Watching:
    """Tells how a job stands whenever its counts have changed."""

    job: HomeJob
    told: Told
    _last: JobStanding | None = field(default=None)

    def waiting(self, device: str, holder: str) -> None:
        """Another holder has the device."""

    def resumed(self, device: str, found: Resumed) -> None:
        """What the store already has for a device."""

    def retrying(self, failures: int) -> None:
        """So many stored failures are measured again."""

    def preparing(self, done: int, total: int) -> None:
        """Model files of one order are being built."""

    def update(self, job: JobProgress, units: Mapping[str, Unit], events: Sequence[Event]) -> None:  # noqa: ARG002
        """After each batch of events."""
        if any(isinstance(event, Measured | Probed) for event in events):
            self.tell()

    def tell(self) -> None:
        """Where something has changed."""
        now = self.job.standing()
        if now != self._last:
            self._last = now
            self.told(now)
