"""Rounds that take longer than they should, and a job whose time is up."""

from __future__ import annotations

import pytest
from tests.schedule_kit import JOB, OneJob, after, begin, changed, decided, ordered

from lutfarm.agent_pool.interface import Done, Measured, Opened, Probed
from lutfarm.scheduling.next_step import LONGEST_ROUND_S, due_seconds
from lutfarm.scheduling.policy import MeasuringPolicy
from lutfarm.scheduling.round_cost import ROUND_S, iteration_of, model_bytes, seconds_of
from lutfarm.scheduling.steps import MeasureThese, Open, ProbeThese
from lutfarm.scheduling.unit import PACE_KNOWN_S
from lutfarm_agents.testing import HELLO
from lutfarm_jobs.measurement import Backend, Measurement, Workload
from lutfarm_jobs.round import Slicing
from lutfarm_jobs.run import Probe, Run

PLAN = Slicing()
MANY = [Measurement(Workload("operator", f"conv{number}"), "desk", Backend("onnxruntime")) for number in range(400)]
EACH_S = seconds_of(1_000_000, PLAN, load_ns=1_000_000)


def began(**more: float) -> OneJob:
    state = begin(MANY, ["desk"], rounds=3, **more)  # type: ignore[arg-type]
    probes = [Probed("o", Probe(m.key, m.device, {}, 0.0, load_ns=1_000_000, iteration_ns=1_000_000)) for m in MANY]
    return after(state, [Opened("o", "desk", HELLO), *probes], 0.0)


def next_round(state: OneJob, now_s: float = 0.0) -> int:
    (step,) = decided(changed(state, policies={"desk": MeasuringPolicy(PLAN, 2**50)}), now_s)
    assert isinstance(step, MeasureThese)
    return len(step.keys)


def after_a_round(state: OneJob, *, due_s: float, took_s: float, error: tuple[str, str] | None = None) -> OneJob:
    state = ordered(state, "desk", "o", now_s=100.0, due_s=due_s)
    return after(state, [Done("o", "desk", error, {"slices": 10**9})], 100.0 + took_s)


def test_a_round_is_due_what_its_workloads_and_its_process_take_and_other_steps_nothing() -> None:
    state = began()
    keys = tuple(m.key for m in MANY[:10])
    assert due_seconds(state.job, MeasureThese(JOB, "desk", keys, 0)) == pytest.approx(ROUND_S + 10 * EACH_S)
    assert due_seconds(state.job, Open(JOB, "desk")) == due_seconds(state.job, ProbeThese(JOB, "desk", keys)) == 0.0


def test_slow_rounds_make_the_next_ones_shorter_and_quick_ones_do_not_grow_beyond_reason() -> None:
    state = began()
    assert state.units["desk"].pace == 1.0
    assert next_round(state) == int(LONGEST_ROUND_S / EACH_S)
    slow = after_a_round(state, due_s=10.0, took_s=50.0)
    assert slow.units["desk"].pace == pytest.approx((PACE_KNOWN_S + 50) / (PACE_KNOWN_S + 10))
    assert next_round(slow) == int(LONGEST_ROUND_S / EACH_S / slow.units["desk"].pace)


def test_a_round_that_broke_says_nothing_of_the_pace_and_neither_does_an_opening() -> None:
    broken = after_a_round(began(), due_s=10.0, took_s=1.0, error=("LinkLost", "gone"))
    assert broken.units["desk"].pace == 1.0
    assert after_a_round(began(), due_s=0.0, took_s=30.0).units["desk"].pace == 1.0


def test_the_last_round_fits_into_the_time_that_is_left() -> None:
    state = began(until_s=1000.0)
    assert next_round(state, 1000.0 - 10 * EACH_S) in (9, 10)
    assert next_round(state, 999.99) == 1
    assert next_round(state, 0.0) == int(LONGEST_ROUND_S / EACH_S)


def test_when_the_time_is_up_nothing_is_ordered_and_it_is_over_once_nothing_runs() -> None:
    state = changed(ordered(began(until_s=1000.0), "desk", "o"), time_up=True)
    assert decided(state, 1001.0) == []
    assert not state.over
    run = Run("0" * 32, MANY[0].key, "desk", "r", 0, "truncated", 0.0, 1.0, {})
    assert after(state, [Measured("o", run), Done("o", "desk")], 1002.0).over


@pytest.mark.parametrize(
    ("iteration_ns", "visit_iterations"),
    [(100_000, 4 + 2), (1_000_000, 1 + 2), (5_000_000, 1 + 1), (39_000_000, 1 + 1), (41_000_000, 1)],
)
def test_a_visit_takes_what_the_runner_runs(iteration_ns: int, visit_iterations: int) -> None:
    without = seconds_of(1, PLAN, load_ns=1) - PLAN.passes * (PLAN.slice_ns + 2) / 1e9  # canaries and loading
    assert seconds_of(iteration_ns, PLAN, load_ns=1) - without == pytest.approx(
        PLAN.passes * visit_iterations * iteration_ns / 1e9, rel=0.01
    )


@pytest.mark.parametrize(
    ("probe", "memory_bytes", "iteration_ns"),
    [
        (None, 8 * 1024**2, 1e6),  # not probed: a small model's, and a millisecond
        (Probe(MANY[0].key, "desk", {}, 0.0), 8 * 1024**2, 1e6),  # its system did not say
        (Probe(MANY[0].key, "desk", {}, 0.0, model_memory_bytes=5000, iteration_ns=70), 5000, 70),
    ],
)
def test_what_a_workload_takes_is_what_its_probe_says_and_assumed_where_none_does(
    probe: Probe | None, memory_bytes: int, iteration_ns: float
) -> None:
    state = begin(MANY[:1], ["desk"], rounds=1)
    state = after(state, [Probed("o", probe)], 0.0) if probe else state
    assert model_bytes(state, MANY[0]) == memory_bytes
    assert iteration_of(state, MANY[0]) == iteration_ns


def test_before_a_probe_an_iteration_takes_what_was_guessed_and_after_it_what_was_seen() -> None:
    state = begin(MANY[:2], ["desk"], rounds=1, expected_ns={MANY[0].key: 5e6})
    assert [iteration_of(state, m) for m in MANY[:2]] == [5e6, 1e6]
    state = after(state, [Probed("o", Probe(MANY[0].key, "desk", {}, 0.0, iteration_ns=7_000_000))], 0.0)
    assert iteration_of(state, MANY[0]) == 7e6
