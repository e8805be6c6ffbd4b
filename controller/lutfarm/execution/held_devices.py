"""The devices that a farm holds: asked for when a job has use for them, given back when none has."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from lutfarm.agent_pool.interface import AgentPool
from lutfarm.devices.leases import ASK_AGAIN_S, Leases
from lutfarm.execution.device_sync import UnitStates
from lutfarm.records.device_state import DeviceRecord
from lutfarm.scheduling.leasing import to_give_back, to_take
from lutfarm.scheduling.state import FarmState, with_lease, without_lease
from lutfarm.scheduling.turn import without

Waiting = Callable[[str, str], None]


@dataclass(slots=True)
class HeldDevices:
    """Their leases, the states that the store shows of them, and their sessions."""

    leases: Leases
    states: UnitStates
    pool: AgentPool
    owner: str
    holder: str
    _looked_s: float = 0.0

    def renewed(self, state: FarmState, units: Collection[str] | None = None, *, passed: float = 1 / 3) -> FarmState:
        """With the leases of these units, or of all, where such a share of them has passed; without those that were lost."""
        lost = self.leases.renew(units, passed=passed)
        self.lose(lost)
        return without_lease(state, lost)

    def held_for(self, state: FarmState, unit: str, job_id: str) -> FarmState:
        """With a unit whose lease names the job that it works for next."""
        if self.leases.hold_for(unit, job_id):
            return state
        self.lose([unit])
        return without_lease(state, [unit])

    def lose(self, units: Iterable[str]) -> None:
        """After their leases passed to another: what runs there ends."""
        for unit in units:
            self.leases.forget(unit)
            self.pool.release(unit)
            self.states.end([unit])

    def exchanged(self, state: FarmState, *, waiting: Waiting) -> tuple[FarmState, list[DeviceRecord]]:
        """Now and then: without the units that no job has use for, with those that one has and nobody else holds.

        And those of them that turned out to be out of work.
        """
        now_s = time.monotonic()
        if now_s - self._looked_s < ASK_AGAIN_S:
            return state, []
        self._looked_s = now_s
        idle = to_give_back(state)
        self.give_back(idle)
        return self.taken(without_lease(state, idle), waiting=waiting)

    def taken(self, state: FarmState, *, waiting: Waiting) -> tuple[FarmState, list[DeviceRecord]]:
        """With the units that a job has use for and nobody else holds; and those that turned out to be out of work.

        `waiting(unit, holder)` is told who has the others.
        """
        barred: list[DeviceRecord] = []
        asked: set[str] = set()
        while wanted := {unit: job_id for unit, job_id in to_take(state).items() if unit not in asked}:
            for unit, job_id in wanted.items():
                asked.add(unit)
                out = self.states.barred([unit])
                who = "" if out else self.leases.ask(unit, owner=self.owner, holder=self.holder, job_id=job_id)
                if who:
                    waiting(unit, who)
                elif out := out or self.states.begin([unit]):
                    self.leases.release([unit])
                    barred += out
                    state = without(state, out)
                else:
                    state = with_lease(state, unit)
        return state, barred

    def give_back(self, units: Iterable[str]) -> None:
        """To whoever wants them, their sessions ended."""
        for unit in units:
            self.pool.release(unit)
            try:
                self.states.end([unit])
            finally:
                self.leases.release([unit])

    def close(self) -> None:
        """Every device is given back; what runs is the pool's to end."""
        try:
            self.states.end()
        finally:
            self.leases.release()
