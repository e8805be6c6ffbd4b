"""The error tree, by who must act.

FarmError
  SpecError          the person who wrote the file        never retried
    RunsDisagree ExtraMissing ModelRefused PluginRefused NothingCompared
    NotFound WrongState TooLarge AccessDenied      of a served farm: the person who asked
      TokenRefused                                 a kind of AccessDenied
  LinkError          cabling, network                     retried on the same device, with backoff
    ConnectFailed LinkLost TransferFailed ReplyTimeout
    ServerBusy                                     of a served farm: the same request, later
      TooManyRequests                              a kind of ServerBusy
  DeviceError        the lab                              device quarantined, work goes elsewhere
    NotReady ProtocolMismatch DeviceLost
      RegistrationStale Unauthorized               kinds of NotReady
  MeasurementError   nobody: it is a result               stored, not retried
    WorkloadFailed OutOfMemory WorkloadTimeout Unstable DevicesDiffer
  StoreError         the operator                         the job stops
    StoreNewer StoreUnwritable ServerUnreachable LeaseLost
  RunnerBug          us: please report                    the job stops
  ServerBug          us: please report                    the request fails

A class's docstring is its default message; `retry` is its policy.  On the wire an error is
`{"code", "detail"}`, where the code is the class name; `from_wire` is the one place that turns it back.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar


class Retry(Enum):
    """What the scheduler does after an error."""

    NEVER = "never"
    SAME_DEVICE = "same device, with backoff"
    OTHER_DEVICE = "device quarantined, work goes elsewhere"


class FarmError(Exception):
    """Something in the farm failed."""

    retry: ClassVar[Retry] = Retry.NEVER

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or " ".join((type(self).__doc__ or "").split()))

    @property
    def code(self) -> str:
        """The name that the error has on the wire and in the store."""
        return type(self).__name__

    @property
    def detail(self) -> str:
        """What was seen and what to do next."""
        return str(self)


class SpecError(FarmError):
    """The job, profile, model or table file can't be used as it is."""


class ModelRefused(SpecError):
    """A model file can't be used as it is.  Beside models that can be it is a stored failure, and not the job's end."""


class RunsDisagree(SpecError):
    """What was measured with different software or in another way can't be put together."""


class NothingCompared(SpecError):
    """Too little was measured on both sides to compare anything; more rounds may."""


class ExtraMissing(SpecError, ImportError):
    """A package that lutfarm can do without, and this call cannot, is not installed."""


class PluginRefused(SpecError):
    """An installed package that adds to lutfarm is broken, or two of them add the same."""

    retry = Retry.OTHER_DEVICE  # where a device needs it; devices without it go on


class NotFound(SpecError):
    """Nothing is stored under this name."""


class WrongState(SpecError):
    """What was asked for can't be done in the state in which things are."""


class TooLarge(SpecError):
    """What was sent is too large."""


class AccessDenied(SpecError):
    """Who asks may not do this."""


class TokenRefused(AccessDenied):
    """No token was sent, or one that is not good (any more)."""


class LinkError(FarmError):
    """The link to the device failed."""

    retry = Retry.SAME_DEVICE


class ConnectFailed(LinkError):
    """The device could not be reached."""


class LinkLost(LinkError):
    """The link to the device broke while it was in use."""


class TransferFailed(LinkError):
    """A file could not be copied to or from the device."""


class ReplyTimeout(LinkError):
    """The device did not answer in time."""


class ServerBusy(LinkError):
    """The server has too much to do now; ask again in a moment."""


class TooManyRequests(ServerBusy):
    """Too many requests came from one address; ask less often."""


class DeviceError(FarmError):
    """The device is not fit to measure."""

    retry = Retry.OTHER_DEVICE


class NotReady(DeviceError):
    """The device is not ready to measure."""


class RegistrationStale(NotReady):
    """The device is not as it was registered, and a check would find the same; register it again."""


class Unauthorized(NotReady):
    """The device waits for somebody to allow this farm on it."""


class ProtocolMismatch(DeviceError):
    """The device speaks another protocol version, or something that is no protocol at all."""


class DeviceLost(DeviceError):
    """The device went away and did not come back."""


class MeasurementError(FarmError):
    """The measurement failed; this is a result."""


class WorkloadFailed(MeasurementError):
    """The runtime refused the workload, or the workload ended the process."""


class OutOfMemory(MeasurementError):
    """The workload asked for more memory than the profile allows."""


class WorkloadTimeout(MeasurementError):
    """The workload did not finish in time."""


class Unstable(MeasurementError):
    """The workload's output is wrong, or changes from one run to the next."""


class DevicesDiffer(MeasurementError):
    """The devices of a pool differ too much, or too little is known of them, to merge what they measured."""


class StoreError(FarmError):
    """The store can't be read or written."""


class StoreNewer(StoreError):
    """The store was written by a newer lutfarm; upgrade lutfarm, or choose another --home."""


class StoreUnwritable(StoreError):
    """The store can't be written: the disk is full or read-only."""


class ServerUnreachable(StoreError):
    """The server of the farm does not answer."""


class LeaseLost(StoreError):
    """The lease on the device passed to another run; this result was refused."""


class RunnerBug(FarmError):
    """The runner failed in its own code; please report it."""


class ServerBug(FarmError):
    """The server failed in its own code; please report it, with what it logged."""


def _tree(root: type[FarmError]) -> dict[str, type[FarmError]]:
    classes = {root.__name__: root}
    for child in root.__subclasses__():
        classes |= _tree(child)
    return classes


def class_of(code: str) -> type[FarmError] | None:
    """The class that a code on the wire or in the store names; None where it names none."""
    return _tree(FarmError).get(code)


def is_a(code: str, *kinds: type[FarmError]) -> bool:
    """Whether a code names one of these classes, or a kind of one."""
    named = class_of(code)
    return named is not None and issubclass(named, kinds)


def from_wire(code: str, detail: str) -> FarmError:
    """The error that a `{"code", "detail"}` names; an unknown code is a RunnerBug that quotes it."""
    kind = class_of(code)
    if kind is None:
        return RunnerBug(f"unknown error code {code[:80]!r}: {detail[:2000]}")
    return kind(detail)
