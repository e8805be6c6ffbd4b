"""Which device does what next: dictionaries in, steps out."""

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm.pool import Done, Measured, Opened, Probed
from lutfarm.scheduler import LONGEST_ROUND_S, MeasureThese, Open, ProbeThese, Step, Terms, decide, seconds_of
from lutfarm.state import FarmState, Standing, after, begin, ordered
from lutfarm.statistics.precision import LEAST_ROUNDS, LEAST_ROUNDS_ALONE, StopRule
from lutfarm_agents.device import Hello
from lutfarm_jobs.measurement import Backend, Failure, Measurement, Probe, Run, Slice, SlicePlan, Workload

PLAN = SlicePlan()
HELLO = Hello(
    python="3.11.7", machine="x86_64", system="Linux", cpu_model="cpu", cpus=(0, 1), memory_bytes=2**34,
    machine_id="m1", runner_sha256="0" * 64, clock_resolution_ns=1, timer_pair_ns=75, runtimes={},
)


def measurement(name: str, unit: str = "desk", runtime: str = "onnxruntime") -> Measurement:
    return Measurement(Workload("operator", name), unit, Backend(runtime))  # type: ignore[arg-type]


def probe_of(m: Measurement, *, iteration_ns: int = 100_000, memory: int = 1_000_000) -> Probe:
    return Probe(m.key, m.unit, {}, 0.0, load_ns=1_000_000, iteration_ns=iteration_ns, model_memory_bytes=memory)


def run_of(m: Measurement, status: str = "complete") -> Run:
    failure = Failure("WorkloadFailed", "signal 11") if status == "failed" else None
    return Run("0" * 32, m.key, m.unit, "r", 0, status, 0.0, 1.0, {}, failure=failure)  # type: ignore[arg-type]


def level_run(m: Measurement, number: int, level_ns: int) -> Run:
    """A process of sixteen quiet slices that all say the same."""
    piece = Slice(0, (level_ns,) * 8, 100, 100, quiet=True, gated=True, involuntary_switches=0, waited_ns=0, wall_ns=1, cpu_ns=1)
    return replace(run_of(m), id=f"{m.key}{number}", round_id=f"r{number}", slices=(piece,) * 4)


def steps(state: FarmState, now_s: float = 0.0, memory: int = 2**31) -> list[Step]:
    return decide(state, dict.fromkeys(state.units, Terms(PLAN, memory)), now_s)


def opened(state: FarmState, *units: str, machine_id: str = "m1") -> FarmState:
    events = [Opened("o", unit, replace(HELLO, machine_id=machine_id)) for unit in units]
    return after(state, events, 0.0)


def probed(state: FarmState, *ms: Measurement) -> FarmState:
    return after(state, [Probed("o", probe_of(m)) for m in ms], 0.0)


A, B, C = (measurement(name) for name in "abc")


def test_a_device_is_opened_then_probes_then_measures_then_is_done() -> None:
    state = begin([A, B], ["desk"], rounds=1)
    assert steps(state) == [Open("desk")]
    state = opened(state, "desk")
    assert steps(state) == [ProbeThese("desk", (A.key, B.key))]
    state = probed(state, A, B)
    assert steps(state) == [MeasureThese("desk", (A.key, B.key), 0)]
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
    assert steps(state) == [MeasureThese("desk", (B.key,), 0)]


def test_a_round_is_of_one_backend() -> None:
    other = measurement("a", runtime="tflite")
    state = probed(opened(begin([A, other, B], ["desk"], rounds=1), "desk"), A, other, B)
    assert steps(state) == [MeasureThese("desk", (A.key, B.key), 0)]


def test_long_workloads_have_rounds_of_their_own() -> None:
    state = opened(begin([A, B, C], ["desk"], rounds=1), "desk")
    events = [Probed("o", probe_of(A)), Probed("o", probe_of(B, iteration_ns=30_000_000)), Probed("o", probe_of(C))]
    state = after(state, events, 0.0)
    assert steps(state) == [MeasureThese("desk", (A.key, C.key), 0)]


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
    assert steps(state, memory=1000) == [MeasureThese("desk", (A.key, B.key), 0)]


def test_a_workload_over_the_budget_still_gets_a_round_of_its_own() -> None:
    state = opened(begin([A, B], ["desk"], rounds=1), "desk")
    state = after(state, [Probed("o", probe_of(m, memory=5000)) for m in (A, B)], 0.0)
    assert steps(state, memory=1000) == [MeasureThese("desk", (A.key,), 0)]


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
    assert steps(state) == [MeasureThese("desk", (B.key,), 0)]
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


def test_two_units_on_one_machine_take_turns() -> None:
    one, two = measurement("a", "u1"), measurement("a", "u2")
    state = probed(opened(begin([one, two], ["u1", "u2"], rounds=1), "u1", "u2"), one, two)
    assert steps(state) == [MeasureThese("u1", (one.key,), 0)]
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
    assert steps(state, now_s=101.0) == [Open("desk")]


def test_a_device_error_quarantines_and_the_others_go_on() -> None:
    one, two = measurement("a", "u1"), measurement("a", "u2")
    state = ordered(begin([one, two], ["u1", "u2"], rounds=1), "u1", "order")
    state = after(state, [Done("order", "u1", ("NotReady", "61 C"))], 0.0)
    assert state.units["u1"].quarantined == "NotReady: 61 C"
    assert (state.units["u1"].failures_in_a_row, state.units["u1"].out) == (1, "quarantined")
    assert (state.units["u2"].failures_in_a_row, state.units["u2"].quarantined) == (0, "")
    assert steps(state) == [Open("u2")]


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
    state = begin([A], ["desk"], rounds=3, standings={A.key: Standing(probe_of(A), complete)})
    state = opened(state, "desk")
    expected = [] if complete == 3 else [MeasureThese("desk", (A.key,), complete)]
    assert steps(state) == expected


EIGHT = [measurement(f"e{number}") for number in range(8)]


def off(index: int, number: int) -> int:
    """-1, 0 or 1, each once in three rounds, in an order of its own for each operator: no process moves them all."""
    return list(permutations((-1, 0, 1)))[index % 6][number % 3]


def after_rounds(spreads: dict[str, float], rounds: int, **terms: object) -> FarmState:
    """Eight operators of 1 ms after so many rounds, each process off by plus or minus its spread; a rule of 2 %."""
    state = opened(begin(EIGHT, ["desk"], rounds=8, rule=StopRule(), **terms), "desk")  # type: ignore[arg-type]
    state = probed(state, *EIGHT)
    for number in range(rounds):
        arrived = [
            Measured("o", level_run(m, number, round(1e6 * (1 + spreads.get(m.key, 0.001) * off(index, number)))))
            for index, m in enumerate(EIGHT)
        ]
        state = after(ordered(state, "desk", f"o{number}"), [*arrived, Done(f"o{number}", "desk", None, {"slices": 10**9})], 0.0)
    return state


def test_what_is_precise_enough_leaves_the_rounds_and_the_widest_goes_first() -> None:
    wide, wider = EIGHT[5].key, EIGHT[2].key
    state = after_rounds({wide: 0.05, wider: 0.12}, LEAST_ROUNDS)
    assert {m.key for m in EIGHT if state.wants(m.key)} == {wide, wider}
    assert steps(state) == [MeasureThese("desk", (wider, wide), LEAST_ROUNDS)]


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
    fixed = replace(state, rule=None)
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
    loud = state.standing(EIGHT[0].key)
    state = replace(state, standings={**state.standings, EIGHT[0].key: replace(loud, levels=())}, reached={
        key: now for key, now in state.reached.items() if key != EIGHT[0].key
    })
    assert state.wants(EIGHT[0].key)
    assert steps(state) == [MeasureThese("desk", (EIGHT[1].key, EIGHT[0].key), LEAST_ROUNDS)]


def test_how_many_rounds_are_left_follows_from_the_square_of_the_width() -> None:
    state = after_rounds({EIGHT[2].key: 0.03}, LEAST_ROUNDS)
    now = state.reached[EIGHT[2].key]
    expected = round(LEAST_ROUNDS * (now.relative_half_width / 0.02) ** 2 + 0.499) - LEAST_ROUNDS
    assert state.rounds_left(EIGHT[2].key) == min(8 - LEAST_ROUNDS, expected) > 0
    assert state.rounds_left(EIGHT[3].key) == 0


@given(st.permutations(["u1", "u2", "u3"]))
def test_the_order_in_which_devices_are_known_does_not_matter(names: list[str]) -> None:
    plan = [measurement("a", name) for name in names]
    assert steps(begin(plan, names, rounds=1)) == [Open("u1"), Open("u2"), Open("u3")]


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
            state = probed(state, *(by_key[key] for key in step.keys))
        elif isinstance(step, MeasureThese):
            state = after(state, [Measured("order", run_of(by_key[key])) for key in step.keys], 0.0)
        state = after(state, [Done("order", "desk")], 0.0)
    assert state.over
    assert all(state.standing(key).complete == rounds for key in by_key)


def profiled(**plan: int) -> Terms:
    return Terms(SlicePlan(profile=1, **plan), memory_budget_bytes=1000)


def test_a_session_under_the_profiler_takes_its_memory_too() -> None:
    state = opened(begin([A, B, C], ["desk"], rounds=1), "desk")
    state = after(state, [Probed("o", probe_of(m, memory=250)) for m in (A, B, C)], 0.0)
    assert decide(state, {"desk": profiled()}, 0.0) == [MeasureThese("desk", (A.key, B.key), 0)]
    assert steps(state, memory=1000) == [MeasureThese("desk", (A.key, B.key, C.key), 0)]


def test_an_iteration_under_the_profiler_takes_its_time_too() -> None:
    plain = seconds_of(10_000_000, SlicePlan(passes=10), load_ns=0)
    under = seconds_of(10_000_000, SlicePlan(passes=10, profile=3), load_ns=0)
    assert under - plain == pytest.approx(10 * 3 * 0.010)


def test_a_row_of_failures_is_ended_by_a_result_and_not_by_a_round_that_broke_off() -> None:
    state = probed(opened(begin([A], ["desk"], rounds=5), "desk"), A)
    state = after(ordered(state, "desk", "o1"), [Done("o1", "desk", ("LinkLost", "gone"))], 0.0)
    assert state.units["desk"].failures_in_a_row == 1
    state = after(ordered(state, "desk", "o2"), [Measured("o2", run_of(A, "truncated"))], 1.0)
    assert state.units["desk"].failures_in_a_row == 1
    state = after(state, [Measured("o2", run_of(A))], 1.0)
    assert state.units["desk"].failures_in_a_row == 0


def judged_apart(state: FarmState) -> dict[str, float]:
    return {key: now.relative_half_width for key, now in state.reached.items()}


def test_how_precise_a_measurement_is_does_not_depend_on_another_backend_of_the_device() -> None:
    """Runtimes differ in their spread between processes: what is known of one is no prior for the other."""
    def rounds(plan: list[Measurement]) -> FarmState:
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


def test_why_a_measurement_failed_is_known_whether_its_probe_or_a_round_failed() -> None:
    state = probed(opened(begin([A, B], ["desk"], rounds=2), "desk"), B)
    state = after(state, [Probed("o", replace(probe_of(A), failure=Failure("OutOfMemory", "40 GB")))], 0.0)
    state = after(state, [Measured("o", run_of(B, "failed"))], 0.0)
    assert [state.standing(m.key).failure for m in (A, B)] == [
        Failure("OutOfMemory", "40 GB"), Failure("WorkloadFailed", "signal 11")
    ]


@pytest.mark.parametrize(
    ("iteration_ms", "plan", "load_ns", "took_ms"),
    [
        (0.1, PLAN, None, 10 + 16 * (0.4 + 2 * 0.1 + 2 * 3 * 0.06)),           # as many iterations as fill a slice
        (1.0, PLAN, 1_000_000, 1 + 16 * (1 + 2 * 1 + 0.36)),                   # one that is longer
        (4.0, PLAN, None, 10 + 16 * (4 + 2 * 4 + 0.36)),                       # just not long
        (5.0, PLAN, None, 10 + 16 * (5 + 5 + 0.36)),                           # swept, after one
        (40.0, PLAN, None, 10 + 16 * (40 + 40 + 0.36)),
        (41.0, PLAN, None, 10 + 16 * (41 + 0.36)),                             # too long to be run twice
        (0.1, SlicePlan(profile=2), None, 10 + 16 * (0.4 + 4 * 0.1 + 0.36)),
        (0.1, SlicePlan(sustained_ns=10**10), None, 10 + 10_000),
    ],
)
def test_how_long_a_round_of_a_workload_takes(
    iteration_ms: float, plan: SlicePlan, load_ns: float | None, took_ms: float
) -> None:
    assert seconds_of(iteration_ms * 1e6, plan, load_ns=load_ns) == pytest.approx(took_ms / 1e3)
