"""Jobs that wait because their devices are out of work: which of them is read again, and when.  To be used from one thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lutfarm.records.device_state import NO_WORK, DeviceRecord
from lutfarm.records.queued_job import QueuedJob
from lutfarm.scheduling.unit import Unit
from lutfarm.store.interface import DeviceStore

TRY_AGAIN_S, TRY_AGAIN_MOST_S = 10.0, 300.0  # what is out of work by itself: doubled each time
MOST_LOOKS = 16  # devices whose records are read at once: the others are read the next times


def pause_s(tries: int) -> float:
    """Before the next try, after so many in a row that came to nothing."""
    return min(TRY_AGAIN_MOST_S, TRY_AGAIN_S * 2.0 ** (tries - 1))


@dataclass(slots=True)
class WaitingJobs:
    """Five hundred that wait for one device cost what one costs: a device that is lost is tried by one of them at a time."""

    store: DeviceStore
    _devices: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])  # by job
    _records: dict[str, DeviceRecord] = field(default_factory=dict[str, DeviceRecord])  # of those devices, the oldest first
    _tries: dict[str, tuple[int, float]] = field(default_factory=dict[str, tuple[int, float]])
    """By device that was lost: how often in a row it was tried, and when it is tried next."""

    def look(self, now_s: float) -> None:
        """Read how the devices are that are waited for."""
        for device in list(self._records)[:MOST_LOOKS]:
            del self._records[device]  # its place is the last now
            self._records[device] = self.store.device_record(device, now_s)

    def wait(self, job_id: str, out: Mapping[str, str], now_s: float, *, went_on: bool) -> float:
        """A job waits for these devices, by their states; when it is tried again at the latest, as people are told.

        Those that people hold are not tried: people say that they are back.  `went_on`: it has measured since it was taken.
        """
        self._devices[job_id] = tuple(out)
        for device in out:
            self._records[device] = self.store.device_record(device, now_s)
        lost = [device for device, state in out.items() if state not in NO_WORK]
        for device in lost:
            tries, next_s = (0, 0.0) if went_on else self._tries.get(device, (0, 0.0))
            if now_s >= next_s:  # else another job has found the same a moment ago
                self._tries[device] = tries + 1, now_s + pause_s(tries + 1)
        return min((self._tries[device][1] for device in lost), default=now_s + TRY_AGAIN_S)

    def is_due(self, entry: QueuedJob, units: Mapping[str, Unit], now_s: float) -> bool:
        """Whether a job is to be read now; `units`: with which the farm is at work."""
        devices = self._devices.get(entry.job_id)
        if devices is None:
            return entry.not_before_s <= now_s
        return any(self._may_work(device, units.get(device), now_s) for device in devices)

    def _may_work(self, device: str, unit: Unit | None, now_s: float) -> bool:
        record = self._records[device]
        if record.state in NO_WORK:
            return False
        if record.state == "lost":
            return now_s >= self._tries.get(device, (0, 0.0))[1]
        return unit is None or unit.opened  # else a job that was taken tries whether it is back

    def taken(self, job_id: str, now_s: float) -> None:
        """A job is read: who waits for the same lost devices lets it try."""
        for device in self._devices.pop(job_id, ()):
            if self._records[device].state == "lost":
                tries, _ = self._tries.get(device, (0, 0.0))
                self._tries[device] = tries, now_s + TRY_AGAIN_MOST_S
        self._tidy()

    def forget(self, job_id: str) -> None:
        """It is over."""
        if self._devices.pop(job_id, None):
            self._tidy()

    def _tidy(self) -> None:
        """Without the records of devices that nobody waits for."""
        wanted = {device for devices in self._devices.values() for device in devices}
        self._records = {device: record for device, record in self._records.items() if device in wanted}
