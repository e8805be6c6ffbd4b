"""Which device does what next: dictionaries in, steps out."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.schedule_kit import (
    JOB,
    PLAN,
    A,
    B,
    C,
    after,
    begin,
    changed,
    decided,
    measurement,
    opened,
    ordered,
    probe_of,
    probed,
    run_of,
    steps,
)

from lutfarm.agent_pool.interface import Done, Measured, Probed
from lutfarm.scheduling.job_progress import MeasurementProgress
from lutfarm.scheduling.next_step import LONGEST_ROUND_S
from lutfarm.scheduling.policy import MeasuringPolicy
from lutfarm.scheduling.retry import FIRST_DELAY_S
from lutfarm.scheduling.round_cost import seconds_of
from lutfarm.scheduling.steps import MeasureThese, Open, ProbeThese
from lutfarm_jobs.round import Slicing
from lutfarm_jobs.run import Failure


def test_a_device_is_opened_then_probes_then_measures_then_is_done() -> None:
    state = begin([A, B], ["desk"], rounds=1)
    assert steps(state) == [Open(JOB, "desk")]
    state = opened(state, "desk")
    assert steps(state) == [ProbeThese(JOB, "desk", (A.key, B.key))]
    state = probed(state, A, B)
    assert steps(state) == [MeasureThese(JOB, "desk", (A.key, B.key), 0)]
    state = after(state, [Measured("o", run_of(m)) for m in (A, B)], 0.0)
    assert steps(state) == []
    assert state.over


def test_a_busy_device_gets_nothing() -> None:
    state = ordered(begin([A], ["desk"], rounds=1), "desk", "order-1")
    assert steps(state) == []
    assert not state.over


def test_every_measurement_gets_its_first_round_before_any_gets_its_second() -> None:
    state = probed(opened(begin([A, B], ["desk"], rounds=2), "desk"), A, B)
    state = after(state, [Measured("o", run_of(A))], 0.0)
    assert steps(state) == [MeasureThese(JOB, "desk", (B.key,), 0)]


def test_a_round_is_of_one_backend() -> None:
    other = measurement("a", runtime="tflite")
    state = probed(opened(begin([A, other, B], ["desk"], rounds=1), "desk"), A, other, B)
    assert steps(state) == [MeasureThese(JOB, "desk", (A.key, B.key), 0)]


def test_long_workloads_have_rounds_of_their_own() -> None:
    state = opened(begin([A, B, C], ["desk"], rounds=1), "desk")
    events = [Probed("o", probe_of(A)), Probed("o", probe_of(B, iteration_ns=30_000_000)), Probed("o", probe_of(C))]
    state = after(state, events, 0.0)
    assert steps(state) == [MeasureThese(JOB, "desk", (A.key, C.key), 0)]


def test_which_networks_share_a_process_changes_from_round_to_round() -> None:
    networks = [measurement(f"n{number}") for number in range(12)]
    probes = [Probed("o", probe_of(m, iteration_ns=30_000_000, memory=100)) for m in networks]
    first: list[frozenset[str]] = []
    for index in range(4):
        state = opened(begin(networks, ["desk"], rounds=4), "desk")
        runs = [Measured("o", replace(run_of(m), id=f"{m.key}{n}")) for m in networks for n in range(index)]
        state = after(state, [*probes, *runs], 0.0)
        (step,) = steps(state, memory=600)
        assert isinstance(step, MeasureThese)
        assert len(step.keys) == 6
        first.append(frozenset(step.keys))
    assert len(set(first)) > 1


def test_a_chunk_stays_within_the_memory_budget() -> None:
    state = opened(begin([A, B, C], ["desk"], rounds=1), "desk")
    state = after(state, [Probed("o", probe_of(m, memory=400)) for m in (A, B, C)], 0.0)
    assert steps(state, memory=1000) == [MeasureThese(JOB, "desk", (A.key, B.key), 0)]


def test_a_workload_over_the_budget_still_gets_a_round_of_its_own() -> None:
    state = opened(begin([A, B], ["desk"], rounds=1), "desk")
    state = after(state, [Probed("o", probe_of(m, memory=5000)) for m in (A, B)], 0.0)
    assert steps(state, memory=1000) == [MeasureThese(JOB, "desk", (A.key,), 0)]


def test_a_chunk_stays_short_so_that_a_kill_loses_little() -> None:
    many = [measurement(f"n{i}") for i in range(200)]
    state = opened(begin(many, ["desk"], rounds=1), "desk")
    state = after(state, [Probed("o", probe_of(m, iteration_ns=50_000_000)) for m in many], 0.0)
    (step,) = steps(state)
    assert isinstance(step, MeasureThese)
    assert 1 <= len(step.keys) < LONGEST_ROUND_S / (0.05 * PLAN.passes) + 1


def test_failed_ones_are_left_alone() -> None:
    state = probed(opened(begin([A, B], ["desk"], rounds=1), "desk"), B)
    bad = replace(probe_of(A), failure=Failure("OutOfMemory", "40 GB"))
    state = after(state, [Probed("o", bad)], 0.0)
    assert steps(state) == [MeasureThese(JOB, "desk", (B.key,), 0)]
    state = after(state, [Measured("o", run_of(B, "failed"))], 0.0)
    assert state.over


def test_truncated_runs_are_repeated_but_not_for_ever() -> None:
    state = probed(opened(begin([A], ["desk"], rounds=2), "desk"), A)
    tries = 0
    while step := steps(state):
        assert isinstance(step[0], MeasureThese)
        state = after(state, [Measured("o", run_of(A, "truncated"))], 0.0)
        tries += 1
        assert tries < 20
    assert tries == 6


def test_two_devices_on_one_machine_take_turns() -> None:
    one, two = measurement("a", "u1"), measurement("a", "u2")
    state = probed(opened(begin([one, two], ["u1", "u2"], rounds=1), "u1", "u2"), one, two)
    assert steps(state) == [MeasureThese(JOB, "u1", (one.key,), 0)]
    state = ordered(state, "u1", "order")
    assert steps(state) == []
    state = after(state, [Done("order", "u1", None, {"slices": 10**9})], 0.0)
    assert [step.unit for step in steps(state)] == ["u2"]


def test_two_machines_work_side_by_side() -> None:
    one, two = measurement("a", "u1"), measurement("a", "u2")
    state = begin([one, two], ["u1", "u2"], rounds=1)
    state = opened(opened(state, "u1", machine_id="m1"), "u2", machine_id="m2")
    assert [step.unit for step in steps(state)] == ["u1", "u2"]


def test_a_lost_link_is_opened_again_after_a_while() -> None:
    state = ordered(probed(opened(begin([A], ["desk"], rounds=1), "desk"), A), "desk", "order")
    state = after(state, [Done("order", "desk", ("LinkLost", "gone"))], 100.0)
    assert steps(state, now_s=100.0) == []
    assert not state.over
    assert steps(state, now_s=101.0) == [Open(JOB, "desk")]


def test_a_lost_link_ends_the_session_and_what_the_device_said_of_itself_stays() -> None:
    """Its machine must be known while it is closed, so that two units of one machine go on taking turns."""
    state = ordered(probed(opened(begin([A], ["desk"], rounds=1), "desk"), A), "desk", "order", now_s=90.0, due_s=5.0)
    before = state.units["desk"]
    state = after(state, [Done("order", "desk", ("LinkLost", "gone"), {"load": 10**9, "slices": 2 * 10**9})], 100.0)
    assert state.units["desk"] == replace(
        before,
        in_flight=None,
        jobs=(),
        opened=False,
        failures_in_a_row=1,
        failures={JOB: 1},
        not_before_s=100.0 + FIRST_DELAY_S,
        spent_s=10.0,  # on the wall
        due_s=0.0,
    )
    assert before.machine_id == "m1"


def test_a_round_that_ended_well_leaves_the_session_open() -> None:
    state = ordered(probed(opened(begin([A], ["desk"], rounds=2), "desk"), A), "desk", "order", now_s=90.0, due_s=5.0)
    before = state.units["desk"]
    state = after(state, [Done("order", "desk", None, {"slices": 2 * 10**9})], 100.0)
    assert state.units["desk"] == replace(
        before, in_flight=None, jobs=(), spent_s=2.0, due_s=0.0, rounds_due_s=5.0, rounds_took_s=10.0
    )
    assert before.opened


def test_a_device_error_quarantines_and_the_others_go_on() -> None:
    one, two = measurement("a", "u1"), measurement("a", "u2")
    state = ordered(begin([one, two], ["u1", "u2"], rounds=1), "u1", "order")
    state = after(state, [Done("order", "u1", ("NotReady", "61 C"))], 0.0)
    assert state.units["u1"].quarantined == "NotReady: 61 C"
    assert (state.units["u1"].failures_in_a_row, state.units["u1"].out, state.units["u1"].code) == (1, "quarantined", "NotReady")
    assert (state.units["u2"].failures_in_a_row, state.units["u2"].quarantined) == (0, "")
    assert steps(state) == [Open(JOB, "u2")]


def test_the_budget_ends_the_orders() -> None:
    state = begin([A], ["desk"], rounds=5, budget_s=10.0)
    state = ordered(probed(opened(state, "desk"), A), "desk", "order")
    state = after(state, [Done("order", "desk", None, {"slices": 11 * 10**9})], 0.0)
    assert steps(state) == []
    assert state.over


def test_a_bug_stops_the_job() -> None:
    state = ordered(begin([A], ["desk"], rounds=1), "desk", "order")
    state = after(state, [Done("order", "desk", ("RunnerBug", "trace"))], 0.0)
    assert state.stopped == ("RunnerBug", "trace")
    assert steps(state) == []
    assert state.over


def test_the_end_of_an_order_that_is_not_in_flight_changes_nothing() -> None:
    state = ordered(begin([A], ["desk"], rounds=1), "desk", "order-2")
    assert after(state, [Done("order-1", "desk", ("LinkLost", ""))], 0.0) == state


@pytest.mark.parametrize("complete", [1, 3])
def test_what_the_store_has_is_not_measured_again(complete: int) -> None:
    state = begin([A], ["desk"], rounds=3, progress_of={A.key: MeasurementProgress(probe_of(A), complete)})
    state = opened(state, "desk")
    expected = [] if complete == 3 else [MeasureThese(JOB, "desk", (A.key,), complete)]
    assert steps(state) == expected


@given(st.permutations(["u1", "u2", "u3"]))
def test_the_order_in_which_devices_are_known_does_not_matter(names: list[str]) -> None:
    plan = [measurement("a", name) for name in names]
    assert steps(begin(plan, names, rounds=1)) == [Open(JOB, "u1"), Open(JOB, "u2"), Open(JOB, "u3")]


@given(st.integers(1, 40), st.integers(1, 4), st.data())
def test_every_job_ends_with_as_many_runs_as_were_asked_for(count: int, rounds: int, data: st.DataObject) -> None:
    plan = [measurement(f"m{i}", runtime=data.draw(st.sampled_from(["onnxruntime", "tflite"]))) for i in range(count)]
    by_key = {m.key: m for m in plan}
    state = opened(begin(list(by_key.values()), ["desk"], rounds=rounds), "desk")
    for _ in range(10 * rounds * count + 10):
        found = steps(state, memory=data.draw(st.sampled_from([1, 2**20, 2**31])))
        if not found:
            break
        (step,) = found
        state = ordered(state, "desk", "order")
        if isinstance(step, ProbeThese):
            state = after(state, [Probed("order", probe_of(by_key[key])) for key in step.keys], 0.0)
        elif isinstance(step, MeasureThese):
            state = after(state, [Measured("order", run_of(by_key[key])) for key in step.keys], 0.0)
        state = after(state, [Done("order", "desk")], 0.0)
    assert state.over
    assert all(state.progress(key).complete == rounds for key in by_key)


def profiled(**plan: int) -> MeasuringPolicy:
    return MeasuringPolicy(Slicing(profile=1, **plan), memory_budget_bytes=1000)


def test_a_session_under_the_profiler_takes_its_memory_too() -> None:
    state = opened(begin([A, B, C], ["desk"], rounds=1), "desk")
    state = after(state, [Probed("o", probe_of(m, memory=250)) for m in (A, B, C)], 0.0)
    assert decided(changed(state, policies={"desk": profiled()}), 0.0) == [MeasureThese(JOB, "desk", (A.key, B.key), 0)]
    assert steps(state, memory=1000) == [MeasureThese(JOB, "desk", (A.key, B.key, C.key), 0)]


def test_an_iteration_under_the_profiler_takes_its_time_too() -> None:
    plain = seconds_of(10_000_000, Slicing(passes=10), load_ns=0)
    under = seconds_of(10_000_000, Slicing(passes=10, profile=3), load_ns=0)
    assert under - plain == pytest.approx(10 * 3 * 0.010)


def test_a_row_of_failures_is_ended_by_a_result_and_not_by_a_round_that_broke_off() -> None:
    state = probed(opened(begin([A], ["desk"], rounds=5), "desk"), A)
    state = after(ordered(state, "desk", "o1"), [Done("o1", "desk", ("LinkLost", "gone"))], 0.0)
    assert state.units["desk"].failures_in_a_row == 1
    state = after(ordered(state, "desk", "o2"), [Measured("o2", run_of(A, "truncated"))], 1.0)
    assert state.units["desk"].failures_in_a_row == 1
    state = after(state, [Measured("o2", run_of(A))], 1.0)
    assert state.units["desk"].failures_in_a_row == 0


def test_why_a_measurement_failed_is_known_whether_its_probe_or_a_round_failed() -> None:
    state = probed(opened(begin([A, B], ["desk"], rounds=2), "desk"), B)
    state = after(state, [Probed("o", replace(probe_of(A), failure=Failure("OutOfMemory", "40 GB")))], 0.0)
    state = after(state, [Measured("o", run_of(B, "failed"))], 0.0)
    assert [state.progress(m.key).failure for m in (A, B)] == [
        Failure("OutOfMemory", "40 GB"),
        Failure("WorkloadFailed", "signal 11"),
    ]


@pytest.mark.parametrize(
    ("iteration_ms", "plan", "load_ns", "took_ms"),
    [
        (0.1, PLAN, None, 10 + 16 * (0.4 + 2 * 0.1 + 2 * 3 * 0.06)),  # as many iterations as fill a slice
        (1.0, PLAN, 1_000_000, 1 + 16 * (1 + 2 * 1 + 0.36)),  # one that is longer
        (4.0, PLAN, None, 10 + 16 * (4 + 2 * 4 + 0.36)),  # just not long
        (5.0, PLAN, None, 10 + 16 * (5 + 5 + 0.36)),  # swept, after one
        (40.0, PLAN, None, 10 + 16 * (40 + 40 + 0.36)),
        (41.0, PLAN, None, 10 + 16 * (41 + 0.36)),  # too long to be run twice
        (0.1, Slicing(profile=2), None, 10 + 16 * (0.4 + 4 * 0.1 + 0.36)),
        (0.1, Slicing(sustained_ns=10**10), None, 10 + 10_000),
    ],
)
def test_how_long_a_round_of_a_workload_takes(iteration_ms: float, plan: Slicing, load_ns: float | None, took_ms: float) -> None:
    assert seconds_of(iteration_ms * 1e6, plan, load_ns=load_ns) == pytest.approx(took_ms / 1e3)
