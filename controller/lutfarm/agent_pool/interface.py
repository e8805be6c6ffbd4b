"""AgentPool: runs agents, in this process or as Ray actors; its orders and events."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lutfarm.records.ordered import Ordered
from lutfarm_agents.device import Device, Hello
from lutfarm_jobs.round import Lease, Limits, Round, Task
from lutfarm_jobs.run import Probe, Run


@dataclass(frozen=True, slots=True)
class Opening:
    """Order: connect to the device, say hello, take its lock (waiting for another holder as long as it takes)."""

    id: str
    device: Device
    lease: Lease
    farm_id: str  # which store's tokens may be compared
    holder: str  # readable, shown to others who wait


@dataclass(frozen=True, slots=True)
class Probing:
    """Order: probe these workloads, one throwaway child each."""

    id: str
    device: Device
    lease: Lease
    tasks: tuple[Task, ...]
    limits: Limits
    models: Mapping[str, Path]  # artifact sha256 -> file on the submitting side


@dataclass(frozen=True, slots=True)
class Measuring:
    """Order: one round, for a job; see Ordered."""

    id: str
    device: Device
    lease: Lease
    round: Round
    models: Mapping[str, Path]
    job_id: str
    job_created_s: float

    @property
    def ordered(self) -> Ordered:
        """For whom its results are."""
        return Ordered(self.job_id, self.job_created_s, self.lease.token)


Order = Opening | Probing | Measuring


@dataclass(frozen=True, slots=True)
class Opened:
    """Event: the session is open and the device's lock is held."""

    order: str
    unit: str
    hello: Hello


@dataclass(frozen=True, slots=True)
class Waiting:
    """Event: another holder has the device."""

    order: str
    unit: str
    holder: str


@dataclass(frozen=True, slots=True)
class Probed:
    """Event: one workload was probed."""

    order: str
    probe: Probe


@dataclass(frozen=True, slots=True)
class Progress:
    """Event: so many slices of the order's expected total have arrived."""

    order: str
    unit: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Measured:
    """Event: a run arrived (complete, truncated or failed)."""

    order: str
    run: Run


@dataclass(frozen=True, slots=True)
class Left:
    """Event: before a device has opened, a result of an earlier order for this farm that was not acknowledged."""

    order: str
    unit: str
    run: Run
    ordered: Ordered


@dataclass(frozen=True, slots=True)
class Remarked:
    """Event: before a device has opened, something odd that was seen on its host, for whoever reads logs."""

    order: str
    unit: str
    remark: str


@dataclass(frozen=True, slots=True)
class Done:
    """Event: the order ended; `error` is None or a FarmError's wire form (code, detail).

    `spent_ns` says where the device's wall time went: slices, warmup, canary, wait, load, import,
    transfer, other.
    """

    order: str
    unit: str
    error: tuple[str, str] | None = None
    spent_ns: Mapping[str, int] = field(default_factory=dict[str, int])


Event = Opened | Waiting | Probed | Progress | Measured | Left | Remarked | Done


class AgentPool(Protocol):
    """Runs agents.  One order per device at a time; events arrive in order per device.

    Every submitted order ends with exactly one Done, also after cancel and after the death of the
    process that ran it (error LinkLost).

    What a round yields is kept on the disk of its host until it is acknowledged: whenever its device is opened for its farm, by
    this pool or by one of another process, it comes again as Left.  Truncated runs are not kept.
    """

    def submit(self, order: Order) -> None:
        """Start it; returns at once."""
        ...

    def cancel(self, order_id: str) -> None:
        """End it soon; its Done follows.  An unknown or ended order is no error."""
        ...

    def release(self, unit: str) -> None:
        """End a device's session soon, so that others may open it; what it does is cancelled, its Done follows.

        The next order for it is one to open it.  An unknown device is no error.
        """
        ...

    def acknowledge(self, unit: str, run_ids: Collection[str]) -> None:
        """These results of a device are stored, or never can be: its host forgets them.  Unknown ones are no error."""
        ...

    def events(self, timeout_s: float) -> Sequence[Event]:
        """What has arrived, waiting up to timeout_s for the first."""
        ...

    def close(self) -> None:
        """Cancel what runs, end every session, leave no process behind."""
        ...


class RecallingPool(AgentPool, Protocol):
    """One that can go on with a device that was opened elsewhere."""

    def recall(self, opening: Opening) -> None:
        """What a device was last opened with elsewhere: an order for it opens it again by itself."""
        ...
