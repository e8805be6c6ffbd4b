"""Devices that got too hot rest until they are cool, and are given up when they stay hot."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.schedule_kit import JOB, begin

from lutfarm.agent_pool.interface import Done, Measured, Opened, Probed
from lutfarm.scheduling.decide import decide
from lutfarm.scheduling.policy import Care, Cooling, MeasuringPolicy
from lutfarm.scheduling.state import FarmState
from lutfarm.scheduling.steps import Open
from lutfarm.scheduling.wait_until_cool import after_heat, after_work, rests_until_s
from lutfarm_agents.testing import HELLO
from lutfarm_jobs.measurement import Backend, Measurement, Workload
from lutfarm_jobs.run import Environment, Probe, Run

PLAN = tuple(Measurement(Workload("operator", "conv"), unit, Backend("onnxruntime")) for unit in ("a", "b"))
CARE = Care(Cooling(limit_c=80.0, resume_c=60.0, wait_s=100.0, look_s=10.0))


def state(**cares: Care) -> FarmState:
    """Two devices at work, each treated so, or as CARE says."""
    policies = {unit: MeasuringPolicy(care=cares.get(unit, CARE)) for unit in ("a", "b")}
    fresh = begin(PLAN, ["a", "b"], rounds=3, policies=policies).farm
    return replace(fresh, units={name: replace(unit, opened=True) for name, unit in fresh.units.items()})


def ran(temperature_c: float | None, unit: str = "a", *, throttled: bool = False) -> Measured:
    after = Environment(1.0, temperature_c=temperature_c)
    return Measured("o", Run("i", PLAN[0].key, unit, "r", 0, "complete", 1.0, 2.0, {}, after=after, throttled=throttled))


def hello(temperature_c: float | None, unit: str = "a") -> Opened:
    return Opened("o", unit, replace(HELLO, environment=Environment(1.0, temperature_c=temperature_c)))


def test_a_hot_device_rests_is_looked_at_and_goes_on_when_it_is_cool() -> None:
    hot, told = after_heat(state(), [Done("o", "b"), ran(80.1), ran(20.0, "b")], 1000.0)
    assert [(t.unit, t.event.kind, t.event.until_s) for t in told] == [("a", "too hot", 1010.0)]
    assert [step.unit for step in decide(hot, 1009.0)] == ["b"]
    assert Open(JOB, "a") in decide(hot, 1010.0)
    warm, told = after_heat(hot, [hello(70.0)], 1010.0)  # below the limit is not yet cool
    assert [t.event.kind for t in told] == ["too hot"]
    assert warm.units["a"].hot_since_s == 1000.0
    cool, told = after_heat(warm, [hello(60.0)], 1020.0)
    assert [(t.unit, t.event.kind, t.event.reason) for t in told] == [("a", "cooled", "60.0 C")]
    assert cool.units["a"].hot_since_s is None
    assert cool.units["b"] == state().units["b"]


def test_a_device_that_stays_hot_is_given_up_with_the_reason() -> None:
    hot, _ = after_heat(state(), [ran(95.0)], 1000.0)
    still, told = after_heat(hot, [hello(90.0)], 1100.0)
    assert [t.event.kind for t in told] == ["device failed"]
    assert still.units["a"].out == "quarantined"
    assert "still 90.0 C, and it goes on at 60.0 C after 100 s" in still.units["a"].quarantined
    assert still.units["a"].quarantined == told[0].event.reason
    assert [t.event.kind for t in after_heat(hot, [hello(90.0)], 1099.9)[1]] == ["too hot"]  # not yet
    assert [step.unit for step in decide(still, 2000.0)] == ["b"]


def test_a_kind_that_rests_after_work_gets_its_next_order_when_it_has_rested() -> None:
    rests = state(a=Care(cooldown_s=30.0), b=Care())
    resting = after_work(rests, [ran(40.0), ran(40.0, "b")], 1000.0)
    assert (resting.units["a"].not_before_s, resting.units["b"].not_before_s) == (1030.0, 0.0)
    assert [step.unit for step in decide(resting, 1029.9)] == ["b"]
    assert "a" in [step.unit for step in decide(resting, 1030.0)]
    probed = after_work(rests, [Probed("o", Probe(PLAN[0].key, "a", {}, 1.0))], 1000.0)
    assert probed.units["a"].not_before_s == 1030.0
    assert after_work(rests, [hello(40.0), Done("o", "a")], 1000.0) == rests  # only opened: nothing heated it


def test_a_longer_wait_for_another_reason_is_kept() -> None:
    rests = state(a=Care(cooldown_s=30.0))
    backed_off = replace(rests, units={name: replace(unit, not_before_s=2000.0) for name, unit in rests.units.items()})
    assert after_work(backed_off, [ran(40.0)], 1000.0) == backed_off


@pytest.mark.parametrize(
    ("cooldown_s", "ended_s", "now_s", "until_s"),
    [(30.0, 100.0, 110.0, 130.0), (30.0, 100.0, 130.0, None), (0.0, 100.0, 90.0, None), (30.0, None, 1.0, None)],
)
def test_a_cooldown_begins_with_the_end_of_the_last_run(
    cooldown_s: float, ended_s: float | None, now_s: float, until_s: float | None
) -> None:
    assert rests_until_s(cooldown_s, ended_s, now_s) == until_s


def test_what_is_not_known_changes_nothing() -> None:
    before = state()
    for event in (ran(None), hello(None), ran(80.0), Opened("o", "a", HELLO)):
        assert after_heat(before, [event], 1.0) == (before, [])
    unknown = state(a=Care())
    assert after_heat(unknown, [ran(300.0)], 1.0) == (unknown, [])


def test_an_opened_device_that_is_hot_does_not_begin() -> None:
    hot, told = after_heat(state(), [hello(81.0)], 5.0)
    assert [t.event.kind for t in told] == ["too hot"]
    assert not hot.units["a"].opened


def test_a_device_that_says_that_it_throttled_rests_below_the_limit_too() -> None:
    slow, told = after_heat(state(), [ran(70.0, throttled=True)], 1000.0)
    assert [(t.event.kind, t.event.reason) for t in told] == [("too hot", "throttled at 70.0 C, and it goes on at 60.0 C")]
    assert [step.unit for step in decide(slow, 1009.0)] == ["b"]
    still, told = after_heat(slow, [hello(65.0)], 1010.0)
    assert [t.event.kind for t in told] == ["too hot"]
    assert [t.event.kind for t in after_heat(still, [hello(60.0)], 1020.0)[1]] == ["cooled"]


def test_one_that_shows_no_temperature_rests_once() -> None:
    slow, told = after_heat(state(), [ran(None, throttled=True)], 1000.0)
    assert [t.event.until_s for t in told] == [1010.0]
    assert told[0].event.reason.startswith("throttled at a temperature that it does not show, ")
    assert Open(JOB, "a") in decide(slow, 1010.0)
    awake, told = after_heat(slow, [Opened("o", "a", HELLO)], 1010.0)
    assert [t.event.kind for t in told] == ["cooled"]
    assert awake.units["a"].hot_since_s is None


def test_where_the_profile_knows_no_limit_a_throttled_device_goes_on() -> None:
    before = state(a=Care())
    assert after_heat(before, [ran(None, throttled=True)], 1.0) == (before, [])
