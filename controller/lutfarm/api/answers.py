"""What the routes answer, as types: the API's own, so that records may change without it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, Field

from lutfarm.lut import Figures, Prediction
from lutfarm.monitoring.device_status import DeviceStatus
from lutfarm.monitoring.why import Why
from lutfarm.records.device_state import DeviceRecord, State
from lutfarm.records.job import Job, JobCounts, JobState
from lutfarm.records.queued_job import QueuedJob
from lutfarm_agents.device import Device, Hello

Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    """Some of a list.  `next` is the cursor of what follows; null at its end."""

    items: list[Item]
    next: str | None = None


class VersionAnswer(BaseModel):
    """Which lutfarm answers, and in which version of the API."""

    lutfarm: str
    api: int = 1


class HealthAnswer(BaseModel):
    """The process answers."""

    ok: bool = True


class ReadyAnswer(BaseModel):
    """The farm can work: its store answers, and its dispatcher was seen lately."""

    ready: bool
    store: bool
    dispatcher_seen_s: float | None = Field(description="Unix time; null where none was seen yet")


class JobAnswer(BaseModel):
    """A job.  `created_s` is a Unix time."""

    id: str
    name: str
    state: JobState
    reason: str
    user: str = Field(description="who submitted it; empty: somebody at the farm's own machine")
    priority: int = Field(description="the greater goes first")
    created_s: float
    counts: JobCounts

    @classmethod
    def of(cls, job: Job, counts: JobCounts) -> JobAnswer:
        """From what is stored."""
        return cls(
            id=job.id,
            name=job.name,
            state=job.state,
            reason=job.reason,
            user=job.user,
            priority=job.priority,
            created_s=job.created_s,
            counts=counts,
        )


class QueueAnswer(BaseModel):
    """A job that the farm has still to do.  Times are Unix times."""

    submitted_s: float
    until_s: float | None = Field(description="it ends then, whatever is left")
    not_before_s: float = Field(description="it was put off until then")
    waiting: str = Field(description="why it was put off")
    ending: str = Field(description="why somebody asked to end it; empty: nobody did")

    @classmethod
    def of(cls, entry: QueuedJob) -> QueueAnswer:
        """From what is stored."""
        return cls(
            submitted_s=entry.submitted_s,
            until_s=entry.until_s,
            not_before_s=entry.not_before_s,
            waiting=entry.waiting,
            ending=entry.ending,
        )


class JobStanding(JobAnswer):
    """A job and what the farm has still to do for it."""

    queue: QueueAnswer | None = Field(description="null where the farm has nothing to do for it")


class JobDetail(JobStanding):
    """A job with what it asks for."""

    spec: dict[str, Any] = Field(description="the job file's content, with what its spaces' files say")
    zeros: tuple[str, ...] = Field(description="keys of its operators that are nothing by structure")


class RemovedAnswer(BaseModel):
    """What went with a job, and how many runs stay because other jobs read them."""

    job: str
    measurements: int
    runs: int
    runs_kept: int
    probes: int


class FileAnswer(BaseModel):
    """A file that the farm has."""

    sha256: str
    size_bytes: int


class WhyAnswer(BaseModel):
    """Why a job is where it is, device by device."""

    job: str
    state: JobState
    reason: str
    devices: list[Why]


class DeviceAnswer(BaseModel):
    """A registered device and its state.  Times are Unix times."""

    name: str
    profile: str
    transport: str
    host: str
    labels: Mapping[str, str]
    state: State
    reason: str
    since_s: float
    checked_s: float | None
    fit: bool | None

    @classmethod
    def of(cls, device: Device, record: DeviceRecord) -> DeviceAnswer:
        """From what is stored.  Without its address, which names key files of the host."""
        return cls(
            name=device.name,
            profile=device.profile,
            transport=device.transport,
            host=device.host,
            labels=device.labels,
            state=record.state,
            reason=record.reason,
            since_s=record.since_s,
            checked_s=record.checked_s,
            fit=record.fit,
        )


class DeviceDetail(DeviceAnswer):
    """A device with what it does and what it last said of itself."""

    status: DeviceStatus
    hello: Hello | None
    hello_s: float | None


class TransitionAnswer(BaseModel):
    """One line of a device's history."""

    at_s: float
    event: str
    before: State
    after: State
    reason: str


class DeviceStateAnswer(BaseModel):
    """What became of a device."""

    name: str
    state: State
    reason: str


class PredictionAnswer(BaseModel):
    """What one network takes, in the answer's unit.

    Uncalibrated, the interval is that of the sum of the table's entries, no promise about the network; null where something is
    missing: then the estimate is of what there is alone.
    """

    arch: str
    estimate: float
    low: float | None
    high: float | None
    coverage: float
    missing: tuple[str, ...]
    flags: tuple[str, ...]
    composed: str
    calibrated_on: int

    @classmethod
    def of(cls, arch: str, one: Prediction) -> PredictionAnswer:
        """From a prediction."""
        return cls(
            arch=arch,
            estimate=one.estimate,
            low=one.low,
            high=one.high,
            coverage=one.coverage,
            missing=one.missing,
            flags=one.flags,
            composed=one.composed,
            calibrated_on=one.calibrated_on,
        )


class PredictedAnswer(BaseModel):
    """Predictions, and how such ones held up against whole networks; `validation` is null where that was never measured."""

    space: str
    device: str
    backend: str
    unit: str
    validation: Figures | None
    predictions: list[PredictionAnswer]
