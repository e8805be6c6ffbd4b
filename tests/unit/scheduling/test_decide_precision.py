"""Which measurements go on: what is precise stops, the widest goes first."""

from dataclasses import replace
from itertools import permutations

from tests.schedule_kit import (
    JOB,
    A,
    OneJob,
    after,
    begin,
    changed,
    level_run,
    measurement,
    opened,
    ordered,
    probed,
    run_of,
    steps,
)

from lutfarm.agent_pool.interface import Done, Measured
from lutfarm.scheduling.steps import MeasureThese
from lutfarm.statistics.estimates.precision import LEAST_ROUNDS, LEAST_ROUNDS_ALONE, StopRule
from lutfarm_jobs.measurement import Measurement

EIGHT = [measurement(f"e{number}") for number in range(8)]


def off(index: int, number: int) -> int:
    """-1, 0 or 1, each once in three rounds, in an order of its own for each operator: no process moves them all."""
    return list(permutations((-1, 0, 1)))[index % 6][number % 3]


def after_rounds(spreads: dict[str, float], rounds: int, **terms: object) -> OneJob:
    """Eight operators of 1 ms after so many rounds, each process off by plus or minus its spread; a rule of 2 %."""
    state = opened(begin(EIGHT, ["desk"], rounds=8, rule=StopRule(), **terms), "desk")  # type: ignore[arg-type]
    state = probed(state, *EIGHT)
    for number in range(rounds):
        arrived = [
            Measured(f"o{number}", level_run(m, number, round(1e6 * (1 + spreads.get(m.key, 0.001) * off(index, number)))))
            for index, m in enumerate(EIGHT)
        ]
        state = after(ordered(state, "desk", f"o{number}"), [*arrived, Done(f"o{number}", "desk", None, {"slices": 10**9})], 0.0)
    return state


def test_what_is_precise_enough_leaves_the_rounds_and_the_widest_goes_first() -> None:
    wide, wider = EIGHT[5].key, EIGHT[2].key
    state = after_rounds({wide: 0.05, wider: 0.12}, LEAST_ROUNDS)
    assert {m.key for m in EIGHT if state.wants(m.key)} == {wide, wider}
    assert steps(state) == [MeasureThese(JOB, "desk", (wider, wide), LEAST_ROUNDS)]


def test_nothing_stops_before_the_least_rounds() -> None:
    state = after_rounds({}, LEAST_ROUNDS - 1)
    assert all(state.wants(m.key) for m in EIGHT)
    assert not any(after_rounds({}, LEAST_ROUNDS).wants(m.key) for m in EIGHT)


def test_a_small_table_needs_more_processes_as_no_other_entry_says_what_the_spread_is() -> None:
    few = EIGHT[:3]
    state = probed(opened(begin(few, ["desk"], rounds=8, rule=StopRule()), "desk"), *few)
    for number in range(LEAST_ROUNDS_ALONE):
        assert all(state.wants(m.key) for m in few), number
        arrived = [Measured("o", level_run(m, number, 1_000_000 + number)) for m in few]
        state = after(ordered(state, "desk", "o"), [*arrived, Done("o", "desk")], 0.0)
    assert not any(state.wants(m.key) for m in few)


def test_what_never_becomes_precise_ends_with_its_rounds() -> None:
    noisy = {m.key: 0.2 for m in EIGHT}
    assert all(after_rounds(noisy, 7).wants(m.key) for m in EIGHT)
    assert after_rounds(noisy, 8).over


def test_what_broke_off_too_often_is_neither_wanted_nor_done() -> None:
    state = probed(opened(begin([A], ["desk"], rounds=2, rule=StopRule()), "desk"), A)
    assert not state.done(A.key)
    state = after(state, [Measured("o", run_of(A, "truncated"))] * 6, 0.0)
    assert not state.wants(A.key)
    assert not state.done(A.key)
    assert after_rounds({}, 8).done(EIGHT[0].key)


def test_without_a_rule_every_measurement_gets_all_rounds() -> None:
    state = after_rounds({}, 7)
    assert state.over
    fixed = changed(state, rule=None)
    assert all(fixed.wants(m.key) and fixed.rounds_left(m.key) == 1 for m in EIGHT)


def test_a_round_fits_in_what_is_left_of_the_budget_and_the_widest_has_it() -> None:
    spreads = {m.key: 0.03 + 0.01 * number for number, m in enumerate(EIGHT)}
    whole = steps(after_rounds(spreads, LEAST_ROUNDS))[0]
    state = after_rounds(spreads, LEAST_ROUNDS, budget_s=LEAST_ROUNDS + 0.03)
    (part,) = steps(state)
    assert isinstance(part, MeasureThese)
    assert isinstance(whole, MeasureThese)
    assert 1 <= len(part.keys) < len(whole.keys)
    assert part.keys == whole.keys[: len(part.keys)] == tuple(m.key for m in reversed(EIGHT))[: len(part.keys)]


def test_a_measurement_that_met_no_quiet_window_goes_on_and_comes_last() -> None:
    state = after_rounds({EIGHT[1].key: 0.1}, LEAST_ROUNDS)
    loud = state.progress(EIGHT[0].key)
    state = changed(
        state,
        progress_of={**state.progress_of, EIGHT[0].key: replace(loud, estimates=())},
        reached={key: now for key, now in state.reached.items() if key != EIGHT[0].key},
    )
    assert state.wants(EIGHT[0].key)
    assert steps(state) == [MeasureThese(JOB, "desk", (EIGHT[1].key, EIGHT[0].key), LEAST_ROUNDS)]


def test_how_many_rounds_are_left_follows_from_the_square_of_the_width() -> None:
    state = after_rounds({EIGHT[2].key: 0.03}, LEAST_ROUNDS)
    now = state.reached[EIGHT[2].key]
    expected = round(LEAST_ROUNDS * (now.relative_half_width / 0.02) ** 2 + 0.499) - LEAST_ROUNDS
    assert state.rounds_left(EIGHT[2].key) == min(8 - LEAST_ROUNDS, expected) > 0
    assert state.rounds_left(EIGHT[3].key) == 0


def judged_apart(state: OneJob) -> dict[str, float]:
    return {key: now.relative_half_width for key, now in state.reached.items()}


def test_how_precise_a_measurement_is_does_not_depend_on_another_backend_of_the_device() -> None:
    """Runtimes differ in their spread between processes: what is known of one is no prior for the other."""

    def rounds(plan: list[Measurement]) -> OneJob:
        state = probed(opened(begin(plan, ["desk"], rounds=8, rule=StopRule()), "desk"), *plan)
        for number in range(LEAST_ROUNDS):
            arrived = [
                Measured("o", level_run(m, number, round(1e6 * (1 + spread_of(m) * off(index % 8, number)))))
                for index, m in enumerate(plan)
            ]
            state = after(ordered(state, "desk", "o"), [*arrived, Done("o", "desk")], 0.0)
        return state

    def spread_of(m: Measurement) -> float:
        return 0.2 if m.backend.runtime == "tflite" else 0.01

    loud = [measurement(f"e{number}", runtime="tflite") for number in range(8)]
    alone, both = judged_apart(rounds(EIGHT)), judged_apart(rounds([*EIGHT, *loud]))
    assert {m.key: both[m.key] for m in EIGHT} == alone
    assert set(both) == {m.key for m in (*EIGHT, *loud)}


def test_what_failed_says_nothing_of_the_spread_of_what_is_left() -> None:
    """Three entries are too few to say it, and need more processes: eight of which five failed are three."""
    state = after_rounds({}, LEAST_ROUNDS)
    assert not any(state.wants(m.key) for m in EIGHT)
    failing = [Measured("o", run_of(m, "failed")) for m in EIGHT[3:]]
    state = after(ordered(state, "desk", "o"), [*failing, Done("o", "desk")], 0.0)
    assert {m.key for m in EIGHT if state.wants(m.key)} == {m.key for m in EIGHT[:3]}
