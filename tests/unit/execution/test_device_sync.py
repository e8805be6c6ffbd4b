"""How a farm keeps what it thinks of its devices true to the store."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import pytest

from lutfarm.agent_pool.interface import Opened
from lutfarm.execution.device_sync import LONGEST_RETRY_S, LOOK_S, MOST_LOOKS, RETRY_S, UnitStates
from lutfarm.records.device_state import DeviceEvent, DeviceRecord, State, require
from lutfarm.scheduling.state import FarmState, out_of_work
from lutfarm.scheduling.unit import Unit
from lutfarm.scheduling.wait_until_cool import Told
from lutfarm.store.interface import Store
from lutfarm_agents.testing import HELLO


@dataclass
class Records:
    """What a store says of devices: `ready`, unless it was told otherwise."""

    states: dict[str, State] = field(default_factory=dict[str, State])
    asked: list[str] = field(default_factory=list[str])

    def device_record(self, device: str, now_s: float) -> DeviceRecord:
        self.asked.append(device)
        return DeviceRecord(device, self.states.get(device, "ready"))

    def step_device(self, device: str, event: DeviceEvent, now_s: float) -> DeviceRecord:
        if event.kind == "link lost":
            self.states[device] = "lost"
        return self.device_record(device, now_s)


class HeldMeanwhile(Records):
    """A person holds a device between the look at its record and what is written of it."""

    def step_device(self, device: str, event: DeviceEvent, now_s: float) -> DeviceRecord:
        self.states[device] = "maintenance"
        require(self.device_record(device, now_s), event.kind)
        return super().step_device(device, event, now_s)


class HeldAfterSeen(HeldMeanwhile):
    """... once it was seen."""

    def step_device(self, device: str, event: DeviceEvent, now_s: float) -> DeviceRecord:
        return self.device_record(device, now_s) if event.kind == "seen" else super().step_device(device, event, now_s)


def farm(count: int) -> FarmState:
    return FarmState({f"d{number}": Unit(f"d{number}") for number in range(count)})


def test_every_device_is_looked_at_in_time_and_no_turn_looks_at_many() -> None:
    store, state = Records(), farm(MOST_LOOKS + 10)
    states = UnitStates(cast(Store, store), "a farm")
    assert len(states.look(state, 100.0)[0]) == MOST_LOOKS
    assert len(states.look(state, 100.25)[0]) == 10
    assert set(store.asked) == set(state.units)
    assert states.look(state, 100.0 + LOOK_S / 2) == ([], [])
    assert len(states.look(state, 100.0 + LOOK_S)[0]) == MOST_LOOKS


@pytest.mark.parametrize(("state", "again"), [("maintenance", []), ("quarantined", []), ("retired", []), ("ready", ["d0"])])
def test_what_is_out_of_work_is_used_again_once_its_record_says_so(state: State, again: list[str]) -> None:
    out = out_of_work(farm(2), "d0", "quarantined", "hot")
    assert UnitStates(cast(Store, Records({"d0": state})), "a farm").look(out, 100.0)[1] == again


def test_a_lost_device_is_tried_again_later_and_later_unless_it_was_well_for_long() -> None:
    states, lost = UnitStates(cast(Store, Records()), "a farm"), out_of_work(farm(1), "d0", "lost", "no route")
    now_s, waited = 1000.0, list[float]()
    for _ in range(9):
        states.tell([Told("d0", DeviceEvent("link lost", "no route"))], now_s)
        lost_s = now_s
        while not states.look(lost, now_s)[1]:
            now_s += LOOK_S
        waited.append(now_s - lost_s)
        now_s += 1.0  # it is lost again at once
    assert waited == [min(RETRY_S * 2**number, LONGEST_RETRY_S) for number in range(9)]
    now_s += 2 * LONGEST_RETRY_S
    states.tell([Told("d0", DeviceEvent("link lost", "no route"))], now_s)
    assert states.look(lost, now_s + RETRY_S - 1.0)[1] == []
    assert states.look(lost, now_s + RETRY_S + LOOK_S)[1] == ["d0"]


def test_a_device_that_is_held_while_it_is_taken_is_out_of_work_and_no_error() -> None:
    store = Records()
    states, held = UnitStates(cast(Store, store), "a farm"), HeldMeanwhile()
    assert states.begin(["d0"]) == []
    states.store = cast(Store, held)
    assert [(record.device, record.state) for record in states.begin(["d1"])] == [("d1", "maintenance")]
    records, again = states.look(out_of_work(farm(1), "d0", "quarantined", "hot"), 100.0)
    assert ([record.state for record in records], again) == (["maintenance"], [])


def test_a_device_that_is_held_as_its_link_is_whole_again_is_said_to_be_held() -> None:
    store = Records()
    states = UnitStates(cast(Store, store), "a farm")
    states.tell([Told("d0", DeviceEvent("link failing", "no route"))], 100.0)
    opened = Opened("o", "d0", HELLO)
    states.store = cast(Store, HeldAfterSeen())
    assert states.opened(opened, 101.0).state == "maintenance"
