"""What a store can do, as seven protocols, some in pairs: ask for the narrowest.  sql/ implements them; no database here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

from lutfarm.records.canary_round import CanaryRound
from lutfarm.records.device_state import DeviceEvent, DeviceRecord, Transition
from lutfarm.records.job import Job, JobCounts, JobRemoved, JobState
from lutfarm.records.lease_holder import LeaseHolder
from lutfarm.records.ordered import LateAnswer, Ordered
from lutfarm.records.queued_job import QueuedJob
from lutfarm.records.token import Token
from lutfarm_agents.device import Device, Hello
from lutfarm_agents.health.check import HealthReport
from lutfarm_jobs.errors import NotFound
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.round import Artifact, Lease
from lutfarm_jobs.run import Probe, Run


class DeviceStore(Protocol):
    """Registered devices: what they are, what they said, how they are."""

    def put_device(self, device: Device) -> None:
        """Insert or replace by name."""
        ...

    def device(self, name: str) -> Device | None:
        """One device, or None."""
        ...

    def devices(self) -> Sequence[Device]:
        """All, by name."""
        ...

    def remove_device(self, name: str, now_s: float) -> None:
        """Its registration, what it said and its state.  What was measured there and its history stay, and the next lease's token
        is the greater one.

        Raises SpecError for one that is not registered, that is leased, or that a job in the queue plans to measure on.
        """
        ...

    def put_hello(self, device: str, hello: Hello, seen_s: float) -> None:
        """What the device last said of itself."""
        ...

    def hello(self, device: str) -> tuple[Hello, float] | None:
        """The last hello and when."""
        ...

    def device_record(self, device: str, now_s: float) -> DeviceRecord:
        """How the device is; `new` where nothing happened to it yet, `busy` only while a lease is in force."""
        ...

    def step_device(self, device: str, event: DeviceEvent, now_s: float) -> DeviceRecord:
        """One transaction: apply an event, keep it in the history where it changed something.  Raises SpecError."""
        ...

    def device_history(self, device: str, *, most: int = 50) -> Sequence[Transition]:
        """The newest transitions, oldest first."""
        ...

    def heat_waits(self, device: str) -> int:
        """How often it rested because it was too hot."""
        ...

    def put_check(self, report: HealthReport) -> None:
        """Keep what a check found."""
        ...

    def checks(self, device: str, *, most: int = 20) -> Sequence[HealthReport]:
        """The newest checks, oldest first."""
        ...


class LeaseStore(Protocol):
    """Who may use a device until when."""

    @property
    def farm_id(self) -> str:
        """32 hex digits made with the store: which store's lease tokens may be compared."""
        ...

    def acquire(self, device: str, *, owner: str, holder: str, now_s: float, ttl_s: float, job_id: str = "") -> Lease | str:
        """A lease with the next token, or the readable `holder` of the one that is in force.

        A lease is free when it expired, was released, or its owner (see lutfarm_agents.process_identity) was a process of
        this host that is no more.
        """
        ...

    def renew(self, lease: Lease, *, now_s: float, ttl_s: float, job_id: str | None = None) -> Lease:
        """`job_id`: for which job it is from now on; None where that did not change.

        Raises LeaseLost when another token was given out.
        """
        ...

    def release(self, lease: Lease) -> None:
        """Give it back; no error if it is no longer held."""
        ...

    def lease_holder(self, device: str, now_s: float) -> LeaseHolder | None:
        """Who holds the device; None where nobody does."""
        ...


class JobStore(Protocol):
    """Jobs and their plans."""

    def open_job(self, job: Job, plan: Sequence[Measurement]) -> Job:
        """Insert with its plan; a job that exists is returned as it stands (its created_s, its state).

        But with what it says now: how long a comparison goes on is no part of its id.
        """
        ...

    def extend_plan(self, job_id: str, plan: Sequence[Measurement]) -> None:
        """Append what the job's plan does not have yet: work that passed to another device, a device that joined a pool."""
        ...

    def close_job(self, job_id: str, state: JobState, reason: str = "") -> None:
        """Set the state."""
        ...

    def remove_job(self, job_id: str, now_s: float) -> JobRemoved:
        """One transaction: the job, its plan and its links, and the runs and probes that no other job reads.

        What its rounds said of the canary stays: other runs are judged by it.  Raises SpecError while the job holds a device or
        is in the queue.
        """
        ...

    def jobs(
        self, *, most: int | None = None, after: tuple[float, str] | None = None, states: Collection[JobState] | None = None
    ) -> Sequence[tuple[Job, JobCounts]]:
        """All, newest first, those of one moment by id.  What is stored of each is counted, which takes its time.

        `most`: so many; `after`: only those behind the job of that `created_s` and id; `states`: only those in one of them.
        """
        ...

    def job(self, job_id: str) -> tuple[Job, JobCounts] | None:
        """One; a unique prefix or a name (its newest) will do."""
        ...

    def measurements(self, job_id: str) -> Sequence[Measurement]:
        """The job's plan, in its order."""
        ...


class QueueStore(Protocol):
    """What a served farm has still to do."""

    def enqueue(self, entry: QueuedJob) -> None:
        """Insert or replace by job.  Raises SpecError where the job is not stored: see open_job."""
        ...

    def queue(self) -> Sequence[QueuedJob]:
        """All, the oldest first; those of one moment by job id."""
        ...

    def put_off(self, job_id: str, not_before_s: float, why: str) -> None:
        """Not before a Unix time; nothing where it is not in the queue."""
        ...

    def taken(self, job_id: str) -> None:
        """It is at work: it waits for nothing, and what failed before is not measured again another time."""
        ...

    def ask_to_end(self, job_id: str, why: str) -> bool:
        """Whether it is in the queue.  The first `why` stays."""
        ...

    def dequeue(self, job_id: str) -> None:
        """No error where it is not in the queue."""
        ...


class TokenStore(Protocol):
    """Who may come in at a served farm.  The store never sees a secret."""

    def put_token(self, token: Token) -> None:
        """Insert.  Raises SpecError where `hashed` is no digest, or where there is a token of that id or that digest."""
        ...

    def token_of(self, hashed: str) -> Token | None:
        """The token with a digest, whether or not it is still good."""
        ...

    def tokens(self) -> Sequence[Token]:
        """All, also those that expired or were revoked; the oldest first."""
        ...

    def revoke_token(self, token_id: str, now_s: float) -> bool:
        """Whether there is one that was not revoked before."""
        ...


class RunStore(Protocol):
    """What was measured and probed, and the model files that it was measured as."""

    def commit(self, arrived: Sequence[Run], lease: Lease, job_id: str) -> None:
        """One transaction: check the lease's token, insert runs and samples, link them to the job.

        The same run id again changes nothing.  Raises LeaseLost.
        """
        ...

    def commit_probe(self, probe: Probe, lease: Lease, job_id: str) -> None:
        """As commit, for what a probe found; a newer probe of the same key and fingerprint replaces."""
        ...

    def commit_left(self, left: Sequence[Run], ordered: Ordered, lease: Lease) -> Mapping[str, LateAnswer]:
        """One transaction: commit runs of one device that were measured under an earlier lease of it, for the job that ordered
        them; by id, what became of each.

        `lease`: the one in force.  See `lutfarm.records.ordered.refusal` for what is not stored.  Raises LeaseLost.
        """
        ...

    def adopt(self, job_id: str, run_ids: Sequence[str]) -> Sequence[str]:
        """Link runs of other jobs to this one (reuse); the ids of those that are not stored any more, each once.

        The last job that reads a run takes it along when it is removed.
        """
        ...

    def reusable(self, keys: Collection[str], *, samples: bool = False) -> Iterator[Run]:
        """Complete runs of any job, newest first; without samples the slices are empty."""
        ...

    def probes(self, keys: Collection[str]) -> Mapping[str, Sequence[Probe]]:
        """All probes by measurement key, newest first."""
        ...

    def put_artifacts(self, used: Mapping[str, Artifact]) -> None:
        """Record which model file each measurement key was run as."""
        ...

    def artifacts(self, keys: Collection[str]) -> Mapping[str, str]:
        """By measurement key: the SHA-256 of the model file that it was run as."""
        ...

    def forget_failures(self, job_id: str) -> int:
        """Unlink failed runs and failed probes from the job (they stay stored); how many.  For --retry-failed."""
        ...

    def runs(self, job_id: str, *, samples: bool = True) -> Iterator[Run]:
        """The runs linked to a job, by key, time and id; without samples the slices are empty."""
        ...

    def arrived_runs(self, job_id: str, *, after: int, most: int, samples: bool = True) -> Iterator[tuple[int, Run]]:
        """The runs linked to a job, in the order in which the farm stored them, each with its number there.

        `after`: only those behind the run of that number, so many at `most`.  None of them is sorted, however many there are.
        """
        ...

    def runs_after(self, started_s: float, *, device: str | None = None) -> Iterator[Run]:
        """Runs of all jobs that began after a Unix time, oldest first, without their samples."""
        ...

    def last_runs(self, device: str, *, most: int) -> Sequence[Run]:
        """The newest runs of a device, newest first, without their samples."""
        ...

    def round_counts(self, job_id: str) -> Mapping[str, Mapping[str, int]]:
        """By measurement key: how many runs of each status are linked to the job; a failed probe counts as failed."""
        ...


class CanaryStore(Protocol):
    """What rounds said of the canary."""

    def canary_rounds(
        self, device: str, backend_key: str, conditions_key: str, *, after_s: float | None = None
    ) -> Sequence[CanaryRound]:
        """What rounds said of the canary, oldest first; of those that began after a Unix time, where one is given."""
        ...

    def canaries_shown(self, device: str) -> Sequence[tuple[str, str]]:
        """The (backend key, conditions key) under which a device has shown a canary."""
        ...


class DevicesAndLeases(DeviceStore, LeaseStore, Protocol):
    """How devices are, and who has them."""


class DevicesAndRuns(DeviceStore, RunStore, Protocol):
    """Devices, and what was measured on them."""


class JobsAndRuns(JobStore, RunStore, Protocol):
    """What jobs ask for, and what was measured for them."""


class RunsAndCanaries(RunStore, CanaryStore, Protocol):
    """What was measured, and what canaries say of it."""


class Store(DevicesAndLeases, JobsAndRuns, RunsAndCanaries, QueueStore, TokenStore, Protocol):
    """All of it.  One writer process at a time may hold a device; many may read.

    Every method raises StoreError (StoreUnwritable, StoreNewer, LeaseLost) and nothing of the database's own.
    """

    def close(self) -> None:
        """Release the database."""
        ...


def job_called(store: JobStore, name: str) -> tuple[Job, JobCounts]:
    """A job by its id, its name or the start of its id, and what is stored of it.  Raises NotFound where there is none."""
    found = store.job(name)
    if found is None:
        raise NotFound(f"no job is called {name[:80]!r}; see lutfarm job list")
    return found


def also_called(store: JobStore, name: str, job: Job) -> tuple[str, ...]:
    """The ids of other jobs that have this name, the newest first; none where `name` is an id, or the start of one."""
    if name != job.name or name == job.id:
        return ()
    return tuple(other.id for other, _ in store.jobs() if other.name == name and other.id != job.id)
