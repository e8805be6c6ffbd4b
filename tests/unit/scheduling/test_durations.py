"""How long a job is said to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from tests.schedule_kit import OneJob, after, begin, changed, ordered

from lutfarm.agent_pool.interface import Done, Opened, Probed
from lutfarm.scheduling.durations import BUILD, OPENING, OPENING_FAR, PACE, Known, Parts, Span, rounds_of, work_left
from lutfarm.scheduling.job_progress import MeasurementProgress
from lutfarm.scheduling.policy import Care, MeasuringPolicy
from lutfarm.scheduling.round_cost import ROUND_S, round_seconds
from lutfarm.statistics.estimates.precision import LEAST_ROUNDS, LEAST_ROUNDS_ALONE, Reached, StopRule
from lutfarm_agents.testing import HELLO
from lutfarm_jobs.measurement import Backend, Measurement, Workload
from lutfarm_jobs.round import Slicing
from lutfarm_jobs.run import Probe

POLICY = MeasuringPolicy(Slicing())


def plan(count: int, unit: str = "desk", runtime: str = "onnxruntime") -> list[Measurement]:
    return [Measurement(Workload("operator", f"conv{number}"), unit, Backend(runtime)) for number in range(count)]


def began(measurements: Sequence[Measurement], *, rounds: int = 8, rule: StopRule | None = None, **more: float) -> OneJob:
    units = dict.fromkeys(m.device for m in measurements)
    return begin(measurements, units, rounds=rounds, rule=rule, **more)  # type: ignore[arg-type]


def probed(state: OneJob, iteration_ns: int = 1_000_000) -> OneJob:
    return after(
        state,
        [Probed("o", Probe(m.key, m.device, {}, 0.0, load_ns=1_000_000, iteration_ns=iteration_ns)) for m in state.plan.values()],
        0.0,
    )


def left(state: OneJob, policy: MeasuringPolicy = POLICY, known: Known | None = None, transport: str = "local") -> Parts:
    units = {name: replace(unit, care=policy.care) for name, unit in state.units.items()}
    return work_left(
        replace(state.job, policies=dict.fromkeys(units, policy)),
        units,
        dict.fromkeys(units, known) if known else None,
        format_of={"onnxruntime": "onnx", "tflite": "tflite"}.__getitem__,
        transports=dict.fromkeys(units, transport),
    )


def test_of_what_is_done_the_device_is_opened_all_the_same() -> None:
    """Before it has said what it is, nobody knows that its runs still count."""
    state = changed(began(plan(3)), progress_of={m.key: MeasurementProgress(complete=8) for m in plan(3)})
    assert left(state) == Parts(opening=OPENING["local"])
    assert left(after(state, [Opened("o", "desk", HELLO)], 0.0)) == Parts()
    assert left(began([])) == Parts()


@pytest.mark.parametrize("rule", [None, StopRule()])
def test_more_work_takes_longer_and_a_range_has_its_ends_in_order(rule: StopRule | None) -> None:
    sizes = [left(began(plan(count), rule=rule)).whole for count in (6, 12, 60, 600)]
    assert all(0 < one.low_s <= one.high_s for one in sizes)
    assert all(a.low_s < b.low_s and a.high_s < b.high_s for a, b in pairwise(sizes))
    assert left(began(plan(6), rounds=4)).whole.high_s < left(began(plan(6), rounds=8)).whole.high_s


def test_without_a_rule_there_are_all_rounds_and_each_is_a_process_more() -> None:
    state = probed(began(plan(6), rounds=4))
    due_s = 4 * (ROUND_S + sum(round_seconds(state, m, POLICY.slicing) for m in state.plan.values()))
    rounds = left(state).rounds
    assert (rounds.low_s, rounds.high_s) == (pytest.approx(due_s * PACE.low_s), pytest.approx(due_s * PACE.high_s))


@pytest.mark.parametrize(
    ("entries", "rounds", "least", "most"),
    [(20, 8, LEAST_ROUNDS, 6), (2, 8, LEAST_ROUNDS_ALONE, 8), (2, 5, 5, 5), (5, 8, LEAST_ROUNDS_ALONE, 8), (6, 2, 2, 2)],
)
def test_few_entries_need_more_processes_as_the_stop_rule_has_it(entries: int, rounds: int, least: int, most: int) -> None:
    state = began(plan(entries), rounds=rounds, rule=StopRule(rounds=rounds))
    assert rounds_of(state, plan(1)[0].key, alone=entries <= 5) == (least, most)


def test_what_is_under_way_counts_by_how_wide_its_interval_is() -> None:
    key = plan(1)[0].key
    state = changed(began(plan(9), rule=StopRule()), progress_of={key: MeasurementProgress(complete=4)})
    wide = changed(state, reached={key: Reached(0.024, settled=True)})
    assert rounds_of(wide, key, alone=False) == (2, 4)
    precise = changed(state, reached={key: Reached(0.01, settled=True)})
    assert rounds_of(precise, key, alone=False) == (0, 0)


def test_rounds_of_before_say_how_long_they_take_here_and_those_of_today_say_it_better() -> None:
    state = probed(began(plan(6), rounds=4))
    unknown, known = left(state).rounds, left(state, known=Known(pace=Span(2.0, 2.2))).rounds
    assert known.low_s == pytest.approx(unknown.low_s / PACE.low_s * 2.0)
    assert known.high_s - known.low_s < unknown.high_s - unknown.low_s
    state = ordered(state, "desk", "o", now_s=0.0, due_s=10.0)
    running = after(state, [Done("o", "desk")], 40.0)
    assert left(running, known=Known(pace=Span(0.9, 1.0))).rounds.low_s > 2.5 * unknown.low_s


def test_a_probe_is_asked_for_once_and_a_model_is_built_once_for_all_devices() -> None:
    state = began([*plan(4), *plan(4, "board")])
    assert left(state).building == BUILD["operator"].times(4)
    known = left(probed(state))
    assert known.probing == Span()
    assert known.building.high_s < 0.1
    assert left(began([*plan(4), *plan(4, runtime="tflite")])).building.high_s == pytest.approx(8 * BUILD["operator"].high_s)
    assert left(state, known=Known(probe=Span(1.0, 2.0))).probing.low_s > 4.0


def test_a_budget_is_the_most_that_rounds_take_and_rests_come_on_top() -> None:
    state = probed(began(plan(600), budget_s=5.0))
    assert left(state).rounds == Span(5.0, 5.0)
    spent = changed(state, spent_s=dict.fromkeys(state.units, 6.0))
    assert left(spent).rounds == Span()  # a round that took longer than was left takes nothing from what is to come
    rests = left(probed(began(plan(6), rounds=4)), MeasuringPolicy(Slicing(), care=Care(cooldown_s=30.0))).waiting
    assert rests == Span(120.0, 120.0)


def test_a_device_that_is_far_takes_longer_to_open_and_an_open_one_no_time() -> None:
    state = began(plan(6))
    assert left(state, transport="ssh").opening == OPENING_FAR
    assert left(after(state, [Opened("o", "desk", HELLO)], 0.0)).opening == Span()


def test_machines_work_side_by_side_and_units_of_one_machine_in_turn() -> None:
    two = [*plan(6), *plan(6, "board")]
    one_machine = after(began(two), [Opened("o", unit, replace(HELLO, machine_id="m")) for unit in ("desk", "board")], 0.0)
    apart = after(began(two), [Opened("o", unit, replace(HELLO, machine_id=unit)) for unit in ("desk", "board")], 0.0)
    alone = after(began(plan(6)), [Opened("o", "desk", HELLO)], 0.0)
    assert left(one_machine).rounds.low_s == pytest.approx(2 * left(alone).rounds.low_s)
    assert left(apart).rounds == left(alone).rounds


def test_a_first_guess_counts_until_a_probe_knows() -> None:
    small = began(plan(6), expected_ns=dict.fromkeys((m.key for m in plan(6)), 1e5))  # type: ignore[arg-type]
    large = began(plan(6), expected_ns=dict.fromkeys((m.key for m in plan(6)), 1e8))  # type: ignore[arg-type]
    assert left(large).rounds.low_s > 3 * left(small).rounds.low_s
    assert left(probed(large, 50_000)).rounds == left(probed(small, 50_000)).rounds
    backend = plan(1)[0].backend.key
    scaled = left(large, known=Known(scale={backend: 0.01})).rounds
    assert scaled.high_s < left(large).rounds.low_s
