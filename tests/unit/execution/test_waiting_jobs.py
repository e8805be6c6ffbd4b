"""Which of the jobs that wait for devices is read again, and when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from lutfarm.execution.waiting_jobs import MOST_LOOKS, TRY_AGAIN_S, WaitingJobs, pause_s
from lutfarm.records.device_state import DeviceRecord, State
from lutfarm.records.queued_job import QueuedJob
from lutfarm.scheduling.unit import Unit


@dataclass
class States:
    """A store that knows how devices are, and how often it was asked."""

    of: dict[str, State]
    asked: list[str] = field(default_factory=list[str])

    def device_record(self, device: str, _now_s: float) -> DeviceRecord:
        self.asked.append(device)
        return DeviceRecord(device, self.of[device])


@pytest.fixture
def states() -> States:
    return States({"a": "lost", "b": "maintenance"})


@pytest.fixture
def waiting(states: States) -> WaitingJobs:
    return WaitingJobs(cast(Any, states))


def due(waiting: WaitingJobs, now_s: float, *jobs: str, **units: Unit) -> list[str]:
    return [job for job in jobs if waiting.is_due(QueuedJob(job, "", 0.0), units, now_s)]


def test_a_job_of_which_nothing_is_known_is_due_by_its_own_time(waiting: WaitingJobs) -> None:
    entry = QueuedJob("one", "", 0.0, not_before_s=50.0)
    assert not waiting.is_due(entry, {}, 49.0)
    assert waiting.is_due(entry, {}, 50.0)


def test_a_lost_device_is_tried_by_one_of_those_that_wait_for_it(waiting: WaitingJobs) -> None:
    for job in ("one", "two"):
        waiting.wait(job, {"a": "lost"}, 100.0, went_on=False)
    assert due(waiting, 100.0 + TRY_AGAIN_S - 1, "one", "two") == []
    assert due(waiting, 100.0 + TRY_AGAIN_S, "one", "two") == ["one", "two"]
    waiting.taken("one", 110.0)
    assert due(waiting, 111.0, "two") == [], "the one that was taken tries for both"
    assert waiting.wait("one", {"a": "lost"}, 410.0, went_on=False) == 410.0 + pause_s(2)


def test_two_that_lose_one_device_at_once_do_not_double_its_pause_twice(waiting: WaitingJobs) -> None:
    times = {waiting.wait(job, {"a": "lost"}, 100.0, went_on=False) for job in ("one", "two", "three")}
    assert times == {100.0 + TRY_AGAIN_S}


def test_pauses_double_and_begin_anew_once_it_has_measured(waiting: WaitingJobs) -> None:
    now_s, found = 0.0, list[float]()
    for _ in range(3):
        until_s = waiting.wait("one", {"a": "lost"}, now_s, went_on=False)
        found.append(until_s - now_s)
        now_s = until_s
    assert found == [TRY_AGAIN_S, 2 * TRY_AGAIN_S, 4 * TRY_AGAIN_S]
    assert waiting.wait("one", {"a": "lost"}, now_s, went_on=True) == now_s + TRY_AGAIN_S


def test_whoever_waits_for_people_alone_waits_until_they_say_so(waiting: WaitingJobs, states: States) -> None:
    waiting.wait("one", {"b": "maintenance"}, 100.0, went_on=False)
    waiting.look(10_000.0)
    assert due(waiting, 10_000.0, "one") == []
    states.of["b"] = "ready"
    waiting.look(10_002.0)
    assert due(waiting, 10_002.0, "one") == ["one"]


def test_a_device_that_is_back_is_used_at_once_by_all(waiting: WaitingJobs, states: States) -> None:
    for job in ("one", "two"):
        waiting.wait(job, {"a": "lost"}, 100.0, went_on=False)
    states.of["a"] = "ready"
    waiting.look(101.0)
    assert due(waiting, 101.0, "one", "two") == ["one", "two"]


def test_one_that_is_being_tried_is_not_back_before_it_has_opened(waiting: WaitingJobs, states: States) -> None:
    waiting.wait("one", {"a": "lost"}, 100.0, went_on=False)
    states.of["a"] = "busy"
    waiting.look(200.0)
    assert due(waiting, 200.0, "one", a=Unit("a")) == []
    assert due(waiting, 200.0, "one", a=Unit("a", opened=True)) == ["one"]


def test_each_device_is_asked_for_however_many_jobs_wait(waiting: WaitingJobs, states: States) -> None:
    for number in range(500):
        waiting.wait(f"job-{number}", {"a": "lost"}, 100.0, went_on=False)
    states.asked.clear()
    waiting.look(101.0)
    assert states.asked == ["a"]
    for number in range(500):
        waiting.forget(f"job-{number}")
    waiting.look(102.0)
    assert states.asked == ["a"], "nobody waits any more"


def test_many_devices_are_looked_at_in_turn(waiting: WaitingJobs, states: States) -> None:
    names = [f"d{number}" for number in range(MOST_LOOKS + 2)]
    states.of.update(dict.fromkeys(names, "lost"))
    waiting.wait("one", dict.fromkeys(names, "lost"), 100.0, went_on=False)
    states.asked.clear()
    waiting.look(101.0)
    assert states.asked == names[:MOST_LOOKS]
    waiting.look(102.0)
    assert set(states.asked) == set(names)
