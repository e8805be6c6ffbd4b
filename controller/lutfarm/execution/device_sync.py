"""Keeps the stored states of a job's devices true while the job runs, and the job true to them."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from lutfarm.agent_pool.interface import Done, Event, Opened
from lutfarm.records.device_state import NO_WORK, DeviceEvent, DeviceRecord
from lutfarm.scheduling.resting import Told
from lutfarm.scheduling.retry import MOST_ATTEMPTS
from lutfarm.scheduling.state import FarmState, back_to_work, out_of_work
from lutfarm.store.interface import Store

LOOK_S = 2.0  # how soon a job notices that somebody holds its device


@dataclass(slots=True)
class UnitStates:
    """Of one job; `holder` says whose it is."""

    store: Store
    holder: str
    _at_work: list[str] = field(default_factory=list[str])
    _failing: set[str] = field(default_factory=set[str])  # whose link failed, and is tried again
    _looked_s: float = 0.0

    def barred(self, units: Iterable[str]) -> list[DeviceRecord]:
        """Those that may not be used."""
        now_s = time.time()
        return [record for unit in units if (record := self.store.device_record(unit, now_s)).state in NO_WORK]

    @contextmanager
    def at_work(self, units: Sequence[str]) -> Generator[list[DeviceRecord]]:
        """Busy until the block is left; yields those that were barred while this job waited for their lease."""
        barred = self.barred(units)
        names = {record.unit for record in barred}
        try:
            for unit in units:
                if unit not in names:
                    self.store.step_device(unit, DeviceEvent("lease taken", self.holder), time.time())
                    self._at_work.append(unit)
            yield barred
        finally:
            self._end()

    def _end(self) -> None:
        now_s = time.time()
        for unit in self._at_work:
            held = self.store.lease_holder(unit, now_s)
            if held is None or held.words == self.holder:  # else it passed to another job, which says how it is
                self.store.step_device(unit, DeviceEvent("lease ended"), now_s)
        self._at_work.clear()

    def follow(self, state: FarmState, events: Iterable[Event], told: Iterable[Told]) -> FarmState:
        """Store what happened; the job's state without devices that were taken out of work."""
        now_s = time.time()
        for each in told:
            state = without(state, [self.store.step_device(each.unit, each.event, now_s)])
        for event in events:
            if isinstance(event, Opened):
                seen = DeviceEvent("seen", boot_id=event.hello.machine_id)
                state = without(state, [self.store.step_device(event.unit, seen, now_s)])
                if event.unit in self._failing and not state.units[event.unit].out:
                    self._failing.discard(event.unit)
                    self.store.step_device(event.unit, DeviceEvent("lease taken", self.holder), now_s)
            elif isinstance(event, Done) and event.error and state.units[event.unit].out:
                unit = state.units[event.unit]
                kind = "link lost" if unit.out == "lost" else "device failed"
                self.store.step_device(unit.name, DeviceEvent(kind, unit.quarantined, code=unit.code), now_s)
            elif isinstance(event, Done) and event.error and not state.stopped:
                unit = state.units[event.unit]
                self._failing.add(unit.name)
                why = f"{event.error[0]}: {event.error[1][:500]} (attempt {unit.failures_in_a_row} of {MOST_ATTEMPTS})"
                self.store.step_device(
                    unit.name, DeviceEvent("link failing", why, code=event.error[0], until_s=unit.not_before_s), now_s
                )
        if now_s - self._looked_s >= LOOK_S:
            self._looked_s = now_s
            state = self._given_back(without(state, self.barred(self._at_work)), now_s)
        return state

    def _given_back(self, state: FarmState, now_s: float) -> FarmState:
        """The job's state with devices that were held while it ran, and are released."""
        for unit in self._at_work:
            held = state.units[unit].out == "maintenance"
            if held and self.store.device_record(unit, now_s).state not in NO_WORK:
                self.store.step_device(unit, DeviceEvent("lease taken", self.holder), now_s)
                state = back_to_work(state, unit)
        return state


def without(state: FarmState, records: Iterable[DeviceRecord]) -> FarmState:
    """The job's state without the devices that may not be used."""
    for record in records:
        if record.state in NO_WORK and not state.units[record.unit].out:
            state = out_of_work(state, record.unit, record.state, record.reason, code=record.code)
    return state
