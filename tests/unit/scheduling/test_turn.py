"""One turn of the loop: what was heard in, the next state and what to tell out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.schedule_kit import (
    HELLO,
    JOB,
    A,
    B,
    OneJob,
    after,
    begin,
    level_run,
    measurement,
    opened,
    ordered,
    probe_of,
    probed,
    resumed,
    run_of,
)

from lutfarm.agent_pool.interface import Done, Event, Measured, Opened, Probed
from lutfarm.canary.epochs import epochs
from lutfarm.canary.history import Canary
from lutfarm.records.canary_round import CanaryRound
from lutfarm.records.device_state import DeviceRecord
from lutfarm.scheduling.job_progress import MeasurementProgress
from lutfarm.scheduling.news import News
from lutfarm.scheduling.policy import Care, MeasuringPolicy
from lutfarm.scheduling.state import cancelled, with_lease
from lutfarm.scheduling.steps import Cancel, MeasureThese, Open
from lutfarm.scheduling.turn import after_news, next_steps
from lutfarm.scheduling.wait_until_cool import Told
from lutfarm.statistics.estimates.precision import StopRule
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.run import Failure


@dataclass(frozen=True)
class TurnedOne:
    state: OneJob
    told: Sequence[Told]


def news_of(state: OneJob, news: News, now_s: float) -> TurnedOne:
    turned = after_news(state.farm, news, now_s)
    return TurnedOne(OneJob(turned.state), turned.told)


def ready(**terms: object) -> OneJob:
    return probed(opened(begin([A, B], ["desk"], rounds=2, **terms), "desk"), A, B)  # type: ignore[arg-type]


def test_what_runs_when_the_time_is_up_is_cancelled_once_and_nothing_else_begins() -> None:
    state = ordered(ready(until_s=100.0), "desk", "o1")
    before = news_of(state, News(), 99.9).state
    assert not before.time_up
    late = news_of(state, News(), 100.0).state
    assert next_steps(late.farm, 100.0) == [Cancel("desk", "o1")]
    assert not late.over
    told = OneJob(cancelled(late.farm, "desk"))
    assert next_steps(told.farm, 101.0) == []
    ended = news_of(told, News([Done("o1", "desk")]), 101.0).state
    assert ended.over
    assert next_steps(ended.farm, 101.0) == []


def test_what_the_store_has_counts_instead_of_what_was_known() -> None:
    news = News(progress_of={JOB: {A.key: MeasurementProgress(probe=probe_of(A), complete=2)}})
    state = news_of(ready(), news, 0.0).state
    assert next_steps(state.farm, 0.0) == [MeasureThese(JOB, "desk", (B.key,), 0)]


def test_what_a_device_refuses_is_failed_even_where_the_store_knows_a_probe_of_it() -> None:
    refused = replace(probe_of(A), failure=Failure("WorkloadFailed", "no such file"))
    news = News(progress_of={JOB: {A.key: MeasurementProgress(probe=probe_of(A))}}, refused={JOB: [Probed("", refused)]})
    assert news_of(ready(), news, 0.0).state.progress(A.key).failed


@pytest.mark.parametrize(
    ("error", "kinds", "out"),
    [
        (("LinkLost", "gone"), ["link failing"], ""),
        (("DeviceLost", "gone"), ["link lost"], "lost"),
        (("NotReady", "its fan is off"), ["device failed"], "quarantined"),
        (("SpecError", "no such thing"), [], ""),  # it ends the job, and says nothing of the device
        (None, [], ""),
    ],
)
def test_an_order_that_broke_is_told_to_the_record_of_its_device(
    error: tuple[str, str] | None, kinds: list[str], out: str
) -> None:
    turned = news_of(ordered(ready(), "desk", "o"), News([Done("o", "desk", error)]), 5.0)
    assert [told.event.kind for told in turned.told] == kinds
    assert turned.state.units["desk"].out == out
    if error and kinds:
        assert error[1] in turned.told[0].event.reason


def test_a_device_that_somebody_took_is_left_and_goes_on_once_it_is_given_back() -> None:
    held = news_of(ready(), News(records=[DeviceRecord("desk", "maintenance", "new fan")]), 0.0).state
    assert (held.units["desk"].out, held.units["desk"].quarantined) == ("maintenance", "new fan")
    assert next_steps(held.farm, 0.0) == []
    back = news_of(held, News(records=[DeviceRecord("desk", "busy")], given_back=["desk"]), 0.0).state
    assert next_steps(back.farm, 0.0) == [Open(JOB, "desk")]  # what was done to it may have changed what it is
    assert [step.unit for step in next_steps(opened(back, "desk").farm, 0.0)] == ["desk"]


def test_an_order_whose_device_passed_to_another_says_nothing_of_the_device_when_it_ends() -> None:
    turned = news_of(ordered(ready(), "desk", "o1"), News(lost=["desk"], dropped={"desk": 3}), 0.0)
    assert next_steps(turned.state.farm, 0.0) == []
    assert not turned.state.over
    ended = news_of(turned.state, News([Done("o1", "desk", ("LinkLost", "somebody took it"))], dropped={"desk": 1}), 5.0)
    desk = ended.state.units["desk"]
    assert (desk.in_flight, desk.failures_in_a_row, desk.out, desk.dropped, ended.told) == (None, 0, "", 4, [])
    assert next_steps(ended.state.farm, 5.0) == []
    again = OneJob(with_lease(ended.state.farm, "desk"))
    assert next_steps(again.farm, 5.0) == [Open(JOB, "desk")]


def test_a_device_whose_canary_drifted_gets_no_further_order_where_its_profile_says_so() -> None:
    rounds = [CanaryRound(60.0 * at, level, idle=True) for at, level in enumerate([100] * 20 + [140] * 4)]
    news = News(canaries={"desk": Canary("desk", "onnxruntime-cpu-t1-fp32", "b1-steady", rounds, epochs(rounds))})
    turned = news_of(ready(policies={"desk": MeasuringPolicy(care=Care(hold_above=1.3))}), news, 0.0)
    assert [told.event.kind for told in turned.told] == ["held"]
    assert turned.state.units["desk"].out == "maintenance"
    assert next_steps(turned.state.farm, 0.0) == []


PLAN = [measurement(name, unit) for name in "abc" for unit in ("desk", "lab")]
FAILED = Failure("OutOfMemory", "40 GB")
EVENTS: list[Event] = [
    *(Measured("o", run_of(m, status)) for m in PLAN for status in ("truncated", "failed")),
    *(Measured("o", level_run(m, number, 1000 + number)) for m in PLAN for number in range(4)),
    *(Probed("o", probe) for m in PLAN for probe in (probe_of(m), replace(probe_of(m), failure=FAILED))),
    *(Opened("o", unit, HELLO) for unit in ("desk", "lab")),
    *(Done("o", unit) for unit in ("desk", "lab")),
]


@given(st.lists(st.sampled_from([*EVENTS, *PLAN]), max_size=30), st.sampled_from([None, StopRule(0.5)]))
def test_what_a_device_wants_is_kept_as_the_state_changes(changes: list[Event | Measurement], rule: StopRule | None) -> None:
    state = begin(PLAN, ["desk", "lab"], rounds=8, rule=rule)
    for unit in state.units:
        state = ordered(state, unit, "o")
    for one in changes:
        stored = {one.key: MeasurementProgress(complete=8)} if isinstance(one, Measurement) else {}
        state = after(resumed(state, stored), [] if isinstance(one, Measurement) else [one], 0.0)
        for unit in state.units:
            assert list(state.wanted(unit)) == [m for m in PLAN if m.device == unit and state.wants(m.key)]


def test_what_became_precise_is_wanted_until_its_round_ends() -> None:
    state = probed(opened(begin([A, B], ["desk"], rounds=20, rule=StopRule()), "desk"), A, B)
    for number in range(12):
        state = ordered(state, "desk", f"o{number}")
        assert state.wanted("desk")
        state = after(state, [Measured(f"o{number}", level_run(m, number, 1000 + number % 2)) for m in (A, B)], 0.0)
        assert [m.key for m in state.wanted("desk")] == [A.key, B.key]
        state = after(state, [Done(f"o{number}", "desk")], 0.0)
        if state.precise(A.key) and state.precise(B.key):
            break
    assert state.wanted("desk") == ()
    assert state.over
