"""What the routes answer, as types: the API's own, so that records may change without it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, Field

from lutfarm.monitoring.device_status import DeviceStatus
from lutfarm.monitoring.why import Why
from lutfarm.records.device_state import DeviceRecord, State
from lutfarm.records.job import Job, JobCounts, JobState
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
    created_s: float
    counts: JobCounts

    @classmethod
    def of(cls, job: Job, counts: JobCounts) -> JobAnswer:
        """From what is stored."""
        return cls(id=job.id, name=job.name, state=job.state, reason=job.reason, created_s=job.created_s, counts=counts)


class JobDetail(JobAnswer):
    """A job with what it asks for."""

    spec: dict[str, Any] = Field(description="the job file's content, with what its spaces' files say")
    zeros: tuple[str, ...] = Field(description="keys of its operators that are nothing by structure")


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


class HoldRequest(BaseModel):
    """Why a device is taken out of work; shown to everybody who asks for it."""

    reason: str = Field(min_length=1, max_length=500)
