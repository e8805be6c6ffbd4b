"""Keeps the stored states of a farm's devices true while it is at work, and what it thinks of them true to the store."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from lutfarm.agent_pool.interface import Opened
from lutfarm.records.device_state import NO_WORK, DeviceEvent, DeviceRecord
from lutfarm.scheduling.state import FarmState
from lutfarm.scheduling.wait_until_cool import Told
from lutfarm.store.interface import DevicesAndLeases
from lutfarm_jobs.errors import WrongState

LOOK_S = 2.0  # how soon a farm notices that somebody holds its device, or has given it back
MOST_LOOKS = 64  # in one turn: the others are looked at in the next ones
RETRY_S = 60.0  # how soon a device whose link was lost is tried again while its farm is at work
LONGEST_RETRY_S = 3600.0  # ... and later, twice as long each time


@dataclass(slots=True)
class UnitStates:
    """Of one farm; `holder` says whose it is."""

    store: DevicesAndLeases
    holder: str
    _at_work: list[str] = field(default_factory=list[str])
    _failing: set[str] = field(default_factory=set[str])  # whose link failed, and is tried again
    _retries: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    """Of those that are lost: when each is tried again, and how long it was left alone until then."""
    _looked_s: float = float("-inf")
    _to_look: list[str] = field(default_factory=list[str])  # that are still to be looked at, this time

    def barred(self, units: Iterable[str]) -> list[DeviceRecord]:
        """Those that may not be used."""
        now_s = time.time()
        return [record for unit in units if (record := self.store.device_record(unit, now_s)).state in NO_WORK]

    def begin(self, units: Collection[str]) -> list[DeviceRecord]:
        """Busy until `end`; those that were barred while their lease was waited for."""
        barred = self.barred(unit for unit in units if unit in self._at_work)
        for unit in units:
            if unit in self._at_work:
                continue
            if out := self._take(unit, time.time()):
                barred.append(out)
            else:
                self._at_work.append(unit)
        return barred

    def _take(self, unit: str, now_s: float) -> DeviceRecord | None:
        """Say that it is at work; its record where it may not be."""
        while (record := self.store.device_record(unit, now_s)).state not in NO_WORK:
            try:
                self.store.step_device(unit, DeviceEvent("lease taken", self.holder), now_s)
            except WrongState:  # somebody took it out since its record was read, which says so now
                continue
            return None
        return record

    def end(self, units: Collection[str] | None = None) -> None:
        """These are no longer busy, or all are not."""
        now_s = time.time()
        ending = [unit for unit in self._at_work if units is None or unit in units]
        for unit in ending:
            held = self.store.lease_holder(unit, now_s)
            if held is None or held.words == self.holder:  # else it passed to another, which says how it is
                self.store.step_device(unit, DeviceEvent("lease ended"), now_s)
            self._at_work.remove(unit)
            self._failing.discard(unit)

    def opened(self, event: Opened, now_s: float) -> DeviceRecord:
        """Store that a device was seen; how it is now."""
        record = self.store.step_device(event.unit, DeviceEvent("seen", boot_id=event.hello.machine_id), now_s)
        if event.unit in self._failing and record.state not in NO_WORK:
            self._failing.discard(event.unit)
            self._take(event.unit, now_s)
            record = self.store.device_record(event.unit, now_s)
        return record

    def look(self, state: FarmState, now_s: float) -> tuple[list[DeviceRecord], list[str]]:
        """Now and then: how the farm's devices are; and those that are out of work in the state and may be used again."""
        if not self._to_look and now_s - self._looked_s >= LOOK_S:
            self._looked_s, self._to_look = now_s, list(state.units)
        now, self._to_look = self._to_look[:MOST_LOOKS], self._to_look[MOST_LOOKS:]
        records = {unit: self.store.device_record(unit, now_s) for unit in now if unit in state.units}
        again: list[str] = []
        for unit, record in list(records.items()):
            if not state.units[unit].out or not self._may_work_again(record, now_s):
                continue
            if unit in self._at_work and (out := self._take(unit, now_s)):  # else its lease is taken first
                records[unit] = out
            else:
                again.append(unit)
        return list(records.values()), again

    def _may_work_again(self, record: DeviceRecord, now_s: float) -> bool:
        """By its record; nobody says that a link is whole again: that is tried."""
        if record.state != "lost":
            return record.state not in NO_WORK
        next_s, _ = self._retries.get(record.device, (now_s, RETRY_S))
        return now_s >= next_s

    def tell(self, told: Iterable[Told], now_s: float) -> None:
        """Store what happened."""
        for each in told:
            if each.event.kind == "link failing":
                self._failing.add(each.unit)
            elif each.event.kind == "link lost":
                tried_s, waited_s = self._retries.get(each.unit, (0.0, RETRY_S))
                again = now_s - tried_s < waited_s  # it was well for a shorter time than it had been left alone
                wait_s = min(LONGEST_RETRY_S, 2 * waited_s) if again else RETRY_S
                self._retries[each.unit] = now_s + wait_s, wait_s
            self.store.step_device(each.unit, each.event, now_s)
