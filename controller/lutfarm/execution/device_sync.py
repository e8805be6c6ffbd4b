"""Keeps the stored states of a job's devices true while the job runs."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from lutfarm.agent_pool.interface import Opened
from lutfarm.records.device_state import NO_WORK, DeviceEvent, DeviceRecord
from lutfarm.scheduling.state import FarmState
from lutfarm.scheduling.wait_until_cool import Told
from lutfarm.store.interface import DevicesAndLeases

LOOK_S = 2.0  # how soon a job notices that somebody holds its device


@dataclass(slots=True)
class UnitStates:
    """Of one job; `holder` says whose it is."""

    store: DevicesAndLeases
    holder: str
    _at_work: list[str] = field(default_factory=list[str])
    _failing: set[str] = field(default_factory=set[str])  # whose link failed, and is tried again
    _looked_s: float = 0.0

    def barred(self, units: Iterable[str]) -> list[DeviceRecord]:
        """Those that may not be used."""
        now_s = time.time()
        return [record for unit in units if (record := self.store.device_record(unit, now_s)).state in NO_WORK]

    def begin(self, units: Collection[str]) -> list[DeviceRecord]:
        """Busy until `end`; those that were barred while their lease was waited for."""
        barred = self.barred(units)
        names = {record.device for record in barred}
        for unit in units:
            if unit not in names and unit not in self._at_work:
                self.store.step_device(unit, DeviceEvent("lease taken", self.holder), time.time())
                self._at_work.append(unit)
        return barred

    def end(self, units: Collection[str] | None = None) -> None:
        """These are no longer busy, or all are not."""
        now_s = time.time()
        ending = [unit for unit in self._at_work if units is None or unit in units]
        for unit in ending:
            held = self.store.lease_holder(unit, now_s)
            if held is None or held.words == self.holder:  # else it passed to another, which says how it is
                self.store.step_device(unit, DeviceEvent("lease ended"), now_s)
            self._at_work.remove(unit)

    def opened(self, event: Opened, now_s: float) -> DeviceRecord:
        """Store that a device was seen; how it is now."""
        record = self.store.step_device(event.unit, DeviceEvent("seen", boot_id=event.hello.machine_id), now_s)
        if event.unit in self._failing and record.state not in NO_WORK:
            self._failing.discard(event.unit)
            record = self.store.step_device(event.unit, DeviceEvent("lease taken", self.holder), now_s)
        return record

    def look(self, state: FarmState, now_s: float) -> tuple[list[DeviceRecord], list[str]]:
        """Now and then: how the devices at work are, and those of them that a person held and has released."""
        if now_s - self._looked_s < LOOK_S:
            return [], []
        self._looked_s = now_s
        records = [self.store.device_record(unit, now_s) for unit in self._at_work if unit in state.units]
        held = [record.device for record in records if state.units[record.device].out == "maintenance"]
        given_back = [record.device for record in records if record.device in held and record.state not in NO_WORK]
        for unit in given_back:
            self.store.step_device(unit, DeviceEvent("lease taken", self.holder), now_s)
        return records, given_back

    def tell(self, told: Iterable[Told], now_s: float) -> None:
        """Store what happened."""
        for each in told:
            if each.event.kind == "link failing":
                self._failing.add(each.unit)
            self.store.step_device(each.unit, each.event, now_s)
