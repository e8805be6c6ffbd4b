"""Which devices a farm asks for and gives back, where others want the same ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.schedule_kit import HELLO, measurement, probe_of, run_of

from lutfarm.agent_pool.interface import Done, Event, Measured, Opened, Probed
from lutfarm.scheduling.decide import decide
from lutfarm.scheduling.job_progress import JobProgress, MeasurementProgress, resumed
from lutfarm.scheduling.leasing import to_give_back, to_take
from lutfarm.scheduling.policy import MeasuringPolicy
from lutfarm.scheduling.state import (
    FarmJob,
    FarmState,
    admitted,
    after,
    ordered,
    out_of_work,
    over,
    with_job,
    with_lease,
    without_lease,
)
from lutfarm.scheduling.steps import MeasureThese, Open, ProbeThese, Step
from lutfarm.scheduling.strategy import Plain
from lutfarm.scheduling.unit import Unit

POLICY = MeasuringPolicy()


class Pair(Plain):
    """A job that measures one device only while it has the others."""

    @property
    def together(self) -> bool:
        return True

    def next(self, job: JobProgress, units: Mapping[str, Unit], idle: Sequence[str], now_s: float) -> Step | None:
        lacking = any(not units[name].leased or units[name].in_flight for name in job.policies)
        return None if lacking else super().next(job, units, idle, now_s)


def job(name: str, *units: str, together: bool = False, at_s: float = 0.0) -> FarmJob:
    plan = [measurement(name, unit) for unit in units]
    progress = JobProgress(name, {m.key: m for m in plan}, dict.fromkeys(units, POLICY), 1)
    return FarmJob(progress, Pair() if together else Plain(), submitted_s=at_s)


def farm(*jobs: FarmJob) -> FarmState:
    """None of its devices is leased yet."""
    state = FarmState()
    for each in jobs:
        state = admitted(state, each, dict.fromkeys(each.progress.policies, POLICY.care))
    return without_lease(state, list(state.units))


def done(state: FarmState, job_id: str, *units: str) -> FarmState:
    """With all that a job wants of these units."""
    progress = state.job(job_id)
    keys = [key for key, m in progress.plan.items() if m.device in units]
    return with_job(state, resumed(progress, {key: MeasurementProgress(complete=1) for key in keys}))


def test_a_plain_job_asks_for_each_of_its_devices_for_the_job_that_came_first() -> None:
    state = farm(job("late", "a", "b", at_s=2.0), job("early", "b", "c", at_s=1.0))
    assert to_take(state) == {"a": "late", "b": "early", "c": "early"}
    assert to_take(with_lease(state, "b")) == {"a": "late", "c": "early"}
    assert decide(state, 0.0) == []
    assert [step.unit for step in decide(with_lease(state, "b"), 0.0)] == ["b"]


def test_a_device_of_which_nothing_is_wanted_any_more_is_given_back_while_others_are_waited_for() -> None:
    state = with_lease(with_lease(farm(job("one", "a", "b")), "a"), "b")
    assert to_give_back(state) == []
    assert to_give_back(done(state, "one", "a")) == ["a"]
    assert to_give_back(ordered(done(state, "one", "a"), "a", "o", jobs=["one"])) == []  # what runs there ends first
    assert to_take(without_lease(done(state, "one", "a"), ["a"])) == {}


def test_what_is_out_of_work_is_neither_asked_for_nor_kept() -> None:
    state = with_lease(farm(job("one", "a", "b")), "b")
    held = out_of_work(out_of_work(state, "a", "maintenance", "new fan"), "b", "quarantined", "hot")
    assert to_take(held) == {}
    assert to_give_back(held) == ["b"]


def test_a_job_that_ends_keeps_nothing() -> None:
    state = with_lease(farm(job("one", "a", "b")), "a")
    for ending in (replace(state.job("one"), time_up=True), replace(state.job("one"), stopped=("SpecError", "no"))):
        assert to_take(with_job(state, ending)) == {}
        assert to_give_back(with_job(state, ending)) == ["a"]


def test_a_job_that_needs_its_devices_together_asks_in_their_order_and_keeps_none_after_one_that_it_lacks() -> None:
    state = farm(job("pair", "b", "a", together=True))
    assert to_take(state) == {"a": "pair"}
    assert to_take(with_lease(state, "a")) == {"b": "pair"}
    assert to_give_back(with_lease(state, "a")) == []
    assert to_give_back(with_lease(state, "b")) == ["b"]  # a job that is over now had asked for it
    assert to_give_back(with_lease(with_lease(state, "a"), "b")) == []


def test_an_order_that_runs_is_waited_for_before_its_device_is_asked_for_again() -> None:
    state = ordered(with_lease(farm(job("one", "a")), "a"), "a", "o", jobs=["one"])
    lost = without_lease(state, ["a"])
    assert to_take(lost) == {}
    assert not over(lost.job("one"), lost.units)
    assert to_take(after(lost, [Done("o", "a", ("LinkLost", "taken"))], 1.0)) == {"a": "one"}


JOBS = st.lists(
    st.tuples(st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True), st.booleans()), min_size=1, max_size=2
)


@given(st.lists(JOBS, min_size=2, max_size=3), st.lists(st.integers(0, 2), max_size=30))
def test_farms_that_want_the_same_devices_all_come_to_an_end(
    farms: Sequence[Sequence[tuple[list[str], bool]]], first: list[int]
) -> None:
    """One lease of each device, whoever asks first; farms take turns in any order."""
    states = [
        farm(*(job(f"f{number}j{place}", *units, together=together) for place, (units, together) in enumerate(mine)))
        for number, mine in enumerate(farms)
    ]
    holder: dict[str, int] = {}
    for count in range(400):
        number = first[count] % len(farms) if count < len(first) else count % len(farms)
        state = states[number]
        for unit in to_give_back(state):
            assert holder.pop(unit) == number
            state = without_lease(state, [unit])
        for unit in to_take(state):
            if unit not in holder:
                holder[unit] = number
                state = with_lease(state, unit)
        states[number] = worked(state)
    assert all(over(each.progress, state.units) for state in states for each in state.jobs.values())
    assert all(each.progress.done(key) for state in states for each in state.jobs.values() for key in each.progress.plan)


def worked(state: FarmState) -> FarmState:
    """After all that can be ordered now."""
    for number, step in enumerate(decide(state, 0.0)):
        state = ordered(state, step.unit, f"o{number}", jobs=[step.job])
        state = after(state, [*results(state.job(step.job), step, f"o{number}"), Done(f"o{number}", step.unit)], 0.0)
    return state


def results(progress: JobProgress, step: Step, order: str) -> list[Event]:
    if isinstance(step, Open):
        return [Opened(order, step.unit, replace(HELLO, machine_id=step.unit))]
    if isinstance(step, ProbeThese):
        return [Probed(order, probe_of(progress.plan[key])) for key in step.keys]
    assert isinstance(step, MeasureThese)
    return [Measured(order, run_of(progress.plan[key])) for key in step.keys]
