"""Jobs that share devices: whose turn it is, what counts for whom, and what ends one and not the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.schedule_kit import HELLO, A, B, C, measurement, probe_of, run_of

from lutfarm.agent_pool.interface import Done, Measured, Opened, Probed, Waiting
from lutfarm.scheduling.decide import AGEING_S, MOST_KEYS, MOST_STEPS, decide, is_full
from lutfarm.scheduling.job_progress import JobProgress, MeasurementProgress, resumed
from lutfarm.scheduling.news import News
from lutfarm.scheduling.policy import MeasuringPolicy
from lutfarm.scheduling.retry import MOST_ATTEMPTS
from lutfarm.scheduling.state import (
    USE_HALVES_S,
    FarmJob,
    FarmState,
    Use,
    admitted,
    after,
    ended,
    left_over,
    ordered,
    over,
    with_job,
    with_moved,
)
from lutfarm.scheduling.steps import Cancel, MeasureThese, Open, ProbeThese, Step, Wait
from lutfarm.scheduling.strategy import Plain
from lutfarm.scheduling.turn import after_news, next_steps
from lutfarm.scheduling.unit import Unit
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.round import Slicing

POLICY = MeasuringPolicy(Slicing())


class Urgent(Plain):
    """A job whose next step can't wait."""

    def urgent(self, job: JobProgress, units: Mapping[str, Unit]) -> bool:
        return True


def job(
    name: str, plan: Sequence[Measurement], *, rounds: int = 1, policy: MeasuringPolicy = POLICY, fresh: bool = False
) -> JobProgress:
    units = dict.fromkeys((m.device for m in plan), policy)
    return JobProgress(name, {m.key: m for m in plan}, units, rounds, fresh=fresh)


def farm(*jobs: FarmJob) -> FarmState:
    """With every device open and every workload probed."""
    state = FarmState()
    for each in jobs:
        state = admitted(state, each, {unit: policy.care for unit, policy in each.progress.policies.items()})
    opened = [Opened("o", unit, replace(HELLO, machine_id=unit)) for unit in state.units]
    state = after(state, opened, 0.0)
    for each in jobs:
        known = {key: MeasurementProgress(probe=probe_of(m)) for key, m in each.progress.plan.items()}
        state = with_job(state, resumed(state.job(each.progress.id), known))
    return state


def turns(state: FarmState, count: int, *, took_s: float = 10.0, now_s: float = 0.0) -> list[str]:
    """For which jobs `desk` works, one step after the other, each of which yields no result."""
    served: list[str] = []
    for number in range(count):
        (step,) = decide(state, now_s)
        served.append(step.job)
        state = ordered(state, step.unit, f"o{number}", jobs=[step.job], now_s=now_s, due_s=took_s)
        state = after(state, [Done(f"o{number}", step.unit, None, {"slices": round(took_s * 1e9)})], now_s)
    return served


def test_the_most_urgent_job_goes_first_then_the_one_that_came_first() -> None:
    state = farm(
        FarmJob(job("late", [A]), submitted_s=2.0),
        FarmJob(job("early", [A]), submitted_s=1.0),
        FarmJob(job("important", [A]), submitted_s=3.0, priority=1),
    )
    assert turns(state, 1) == ["important"]
    without = ended(state, "important")
    assert turns(without, 1) == ["early"]
    assert turns(ended(without, "early"), 1) == ["late"]


def test_two_users_share_device_time_and_not_turns() -> None:
    state = farm(FarmJob(job("a", [A]), user="ann"), FarmJob(job("b", [B]), user="bob"))
    assert turns(state, 6) == ["a", "b", "a", "b", "a", "b"]
    ahead = replace(state, uses={"ann": Use(25.0, 0.0)})
    assert turns(ahead, 6) == ["b", "b", "b", "a", "b", "a"]  # bob has his 25 s first


def test_many_jobs_of_one_user_get_no_more_than_one_of_another() -> None:
    many = [FarmJob(job(f"a{number}", [A]), user="ann", submitted_s=float(number)) for number in range(9)]
    served = turns(farm(*many, FarmJob(job("b", [B]), user="bob", submitted_s=99.0)), 10, now_s=100.0)
    assert served.count("b") == 5


def test_what_a_user_had_is_forgotten_by_half_in_a_day() -> None:
    assert Use(80.0, 1000.0).at(1000.0 + USE_HALVES_S) == 40.0
    assert Use(80.0, 1000.0).at(0.0) == 80.0  # a clock that was set back gives nobody time
    state = farm(FarmJob(job("a", [A]), user="ann"), FarmJob(job("b", [B]), user="bob"))
    used = replace(state, uses={"ann": Use(100.0, 0.0), "bob": Use(60.0, USE_HALVES_S)})
    (step,) = decide(used, USE_HALVES_S)
    assert step.job == "a"


def test_devices_that_are_given_out_together_are_shared_between_users_too() -> None:
    plan = [measurement("a", f"u{number}") for number in range(4)]
    state = farm(FarmJob(job("a", plan), user="ann"), FarmJob(job("b", plan, fresh=True), user="bob"))
    assert sorted(step.job for step in decide(state, 0.0)) == ["a", "a", "b", "b"]


def test_a_turn_gives_a_bounded_number_of_orders_and_the_next_one_the_others() -> None:
    plan = [measurement("a", f"u{number}") for number in range(MOST_STEPS + 9)]
    state = farm(FarmJob(job("a", plan)))
    first = decide(state, 0.0)
    assert len(first) == MOST_STEPS
    for step in first:
        state = ordered(state, step.unit, f"o{step.unit}", jobs=["a"])
    second = decide(state, 0.0)
    assert {step.unit for step in [*first, *second]} == {m.device for m in plan}
    assert len(second) == 9


def test_a_turn_of_large_rounds_gives_fewer_of_them() -> None:
    """What an order costs goes with its measurements."""
    plan = [measurement(f"m{place}", f"u{number}") for number in range(MOST_STEPS - 1) for place in range(40)]
    steps = decide(farm(FarmJob(job("a", plan))), 0.0)
    assert is_full(steps)
    assert len(steps) < MOST_STEPS - 1
    assert sum(len(step.keys) for step in steps[:-1] if isinstance(step, MeasureThese | ProbeThese)) < MOST_KEYS


def test_work_that_passes_to_a_device_counts_for_whoever_wants_it_there() -> None:
    here, there = measurement("a", "u1"), measurement("a", "u2")
    state = farm(FarmJob(job("pool", [here, measurement("b", "u2")])), FarmJob(job("other", [there])))
    state = ordered(state, "u2", "o", jobs=["other"])
    arrived = Measured("o", run_of(there))
    assert list(state.readers(arrived)) == ["other"]
    pool = state.job("pool")
    moved = with_moved(with_job(state, replace(pool, plan={**pool.plan, there.key: there})))
    assert list(moved.readers(arrived)) == ["other", "pool"]
    assert list(ended(moved, "pool").readers(arrived)) == ["other"]


def test_a_job_that_got_nothing_for_hours_comes_before_more_important_ones() -> None:
    state = farm(FarmJob(job("vip", [A]), priority=2), FarmJob(job("small", [B]), priority=0))
    assert turns(state, 1, now_s=AGEING_S) == ["vip"]
    served = replace(state, jobs={**state.jobs, "vip": replace(state.jobs["vip"], served_s={"desk": 3 * AGEING_S})})
    assert turns(served, 1, now_s=3 * AGEING_S) == ["small"]


def test_a_job_that_has_one_device_all_the_time_is_not_starved_on_another() -> None:
    plan = [measurement("a", "u1"), measurement("a", "u2")]
    now_s = 3 * AGEING_S
    state = farm(
        FarmJob(job("vip", plan), priority=2, served_s={"u1": now_s, "u2": now_s}),
        FarmJob(job("small", plan, fresh=True), served_s={"u2": now_s}),
    )
    assert {step.unit: step.job for step in decide(state, now_s)} == {"u1": "small", "u2": "vip"}


def test_a_job_whose_orders_always_break_gives_up_the_device_on_which_others_work() -> None:
    elsewhere = measurement("a", "lab")
    state = farm(FarmJob(job("bad", [A, elsewhere])), FarmJob(job("good", [B], rounds=MOST_ATTEMPTS + 1)))
    for number in range(MOST_ATTEMPTS):
        assert not state.job("bad").gave_up
        assert not over(state.job("bad"), state.units)
        state = ordered(state, "desk", f"b{number}", jobs=["bad"])
        state = after(state, [Opened("o", "desk", HELLO), Done(f"b{number}", "desk", ("LinkLost", "gone"))], 0.0)
        state = ordered(state, "desk", f"g{number}", jobs=["good"])
        state = after(state, [Opened("o", "desk", HELLO), Measured(f"g{number}", run_of(B)), Done(f"g{number}", "desk")], 0.0)
    assert state.job("bad").gave_up == {"desk": "LinkLost: gone"}
    assert (state.units["desk"].out, state.units["desk"].failures_in_a_row) == ("", 0)
    assert {step.unit: step.job for step in decide(state, 99.0)} == {"desk": "good", "lab": "bad"}
    assert left_over(state.job("bad"), state.units) == (A.key,)
    assert not state.job("good").gave_up


def test_orders_of_all_jobs_that_break_take_the_device_out_for_all() -> None:
    state = farm(FarmJob(job("one", [A])), FarmJob(job("two", [B])))
    for number in range(MOST_ATTEMPTS):
        assert not state.units["desk"].out
        state = ordered(state, "desk", f"o{number}", jobs=["two" if number % 2 else "one"])
        state = after(state, [Done(f"o{number}", "desk", ("LinkLost", "gone"))], 0.0)
    assert state.units["desk"].out == "lost"
    assert not any(each.progress.gave_up for each in state.jobs.values())


def test_an_own_result_ends_a_jobs_row_of_failures_and_anothers_does_not() -> None:
    state = farm(FarmJob(job("one", [A], rounds=2)), FarmJob(job("two", [B])))
    for order, who, m in (("o1", "one", None), ("o2", "two", B), ("o3", "one", A)):
        state = ordered(state, "desk", order, jobs=[who])
        ends = [Measured(order, run_of(m)), Done(order, "desk")] if m else [Done(order, "desk", ("LinkLost", "gone"))]
        state = after(state, ends, 0.0)
        assert state.units["desk"].failures == ({} if order == "o3" else {"one": 1})


def test_an_order_that_breaks_costs_what_it_took_on_the_wall() -> None:
    state = farm(FarmJob(replace(job("one", [A]), budget_s=25.0), user="ann"), FarmJob(job("two", [B]), user="bob"))
    state = ordered(state, "desk", "o", jobs=["one"], now_s=100.0)
    state = after(state, [Waiting("o", "desk", "carla")], 160.0)  # somebody's lock: no device time
    state = after(state, [Done("o", "desk", ("LinkLost", "gone"), {"slices": 10**9})], 190.0)
    assert state.job("one").spent_s == {"desk": 30.0}
    assert state.job("one").spent("desk")
    assert state.uses["ann"].at(190.0) == 30.0
    assert "bob" not in state.uses


def test_what_cannot_wait_comes_before_every_priority() -> None:
    state = farm(FarmJob(job("vip", [A]), priority=9), FarmJob(job("pair", [B]), Urgent()))
    assert turns(state, 1) == ["pair"]


def test_one_run_counts_for_every_job_that_wants_it_measured_in_the_same_way() -> None:
    other = replace(POLICY, slicing=Slicing(passes=9))
    state = farm(
        FarmJob(job("first", [A, B], rounds=2)),
        FarmJob(job("second", [A, C], rounds=3)),
        FarmJob(job("fresh", [A], fresh=True)),
        FarmJob(job("longer", [A], policy=other)),
    )
    state = ordered(state, "desk", "o1", jobs=["first"])
    arrived = Measured("o1", run_of(A))
    assert list(state.readers(arrived)) == ["first", "second"]
    state = after(state, [arrived], 0.0)
    assert {name: each.progress.progress(A.key).complete for name, each in state.jobs.items()} == {
        "first": 1,
        "second": 1,
        "fresh": 0,
        "longer": 0,
    }
    state = ordered(after(state, [Done("o1", "desk")], 0.0), "desk", "o2", jobs=["fresh"])
    assert list(state.readers(Measured("o2", run_of(A)))) == ["fresh", "first", "second"]


def test_a_result_of_no_order_that_runs_here_counts_for_nobody() -> None:
    state = farm(FarmJob(job("first", [A], rounds=2)), FarmJob(job("second", [A], rounds=2)))
    elsewhere = measurement("a", "nowhere")
    for stranger in (Measured("o0", run_of(A)), Probed("", probe_of(A)), Measured("o1", run_of(elsewhere))):
        assert list(state.readers(stranger)) == []
    running = ordered(state, "desk", "o1", jobs=["first"])
    assert list(running.readers(Measured("o0", run_of(A)))) == []
    counted = after(running, [Measured("o0", run_of(A))], 0.0)
    assert {each.progress.progress(A.key).complete for each in counted.jobs.values()} == {0}


def test_what_a_job_no_longer_wants_and_what_broke_off_for_another_is_not_its() -> None:
    state = farm(FarmJob(job("short", [A])), FarmJob(job("long", [A, B], rounds=3)))
    state = ordered(state, "desk", "o1", jobs=["long"])
    assert list(state.readers(Measured("o1", run_of(A, "truncated")))) == ["long"]
    state = after(state, [Measured("o1", run_of(A)), Done("o1", "desk")], 0.0)
    state = ordered(state, "desk", "o2", jobs=["long"])
    assert list(state.readers(Measured("o2", run_of(A, "failed")))) == ["long"]


class Patient(Plain):
    """A job whose next step needs a device that is not free yet."""

    def next(self, job: JobProgress, units: Mapping[str, Unit], idle: Sequence[str], now_s: float) -> Wait:
        return Wait(job.id)


def test_a_device_is_left_idle_for_the_job_whose_turn_it_is_and_no_longer() -> None:
    patient, other = FarmJob(job("pair", [A]), Patient(), user="ann"), FarmJob(job("other", [B]), user="bob")
    state = farm(patient, other)
    assert decide(replace(state, uses={"bob": Use(5.0, 0.0)}), 0.0) == []
    (step,) = decide(replace(state, uses={"ann": Use(5.0, 0.0)}), 0.0)
    assert step.job == "other"


def test_an_error_of_one_jobs_order_ends_that_job_alone() -> None:
    state = farm(FarmJob(job("bad", [A])), FarmJob(job("good", [B])))
    state = ordered(state, "desk", "o", jobs=["bad"])
    state = after(state, [Done("o", "desk", ("SpecError", "no such thing"))], 0.0)
    assert state.job("bad").stopped == ("SpecError", "no such thing")
    assert over(state.job("bad"), state.units)
    assert not over(state.job("good"), state.units)
    assert [step.job for step in decide(state, 0.0)] == ["good"]


def test_when_the_time_of_one_job_is_up_what_runs_for_another_goes_on() -> None:
    one, two = measurement("a", "u1"), measurement("a", "u2")
    late = replace(job("late", [one, two], rounds=2), until_s=100.0)
    state = farm(FarmJob(late), FarmJob(job("open", [one, two], rounds=2)))
    state = ordered(ordered(state, "u1", "o1", jobs=["late"]), "u2", "o2", jobs=["open"])
    state = after_news(state, News(), 100.0).state
    assert next_steps(state, 100.0) == [Cancel("u1", "o1")]
    state = after(state, [Done("o1", "u1")], 101.0)
    assert over(state.job("late"), state.units)
    (step,) = next_steps(state, 101.0)
    assert (step.job, step.unit) == ("open", "u1")


def test_a_budget_is_a_jobs_own() -> None:
    state = farm(FarmJob(replace(job("small", [A], rounds=9), budget_s=5.0)), FarmJob(job("other", [B], rounds=9)))
    state = ordered(state, "desk", "o", jobs=["other"])
    state = after(state, [Done("o", "desk", None, {"slices": 60 * 10**9})], 0.0)
    assert not state.job("small").spent("desk")
    state = ordered(state, "desk", "o", jobs=["small"])
    state = after(state, [Done("o", "desk", None, {"slices": 6 * 10**9})], 0.0)
    assert state.job("small").spent("desk")
    assert not state.job("other").spent("desk")


def test_a_device_that_no_job_wants_any_more_leaves_the_farm() -> None:
    state = farm(FarmJob(job("a", [measurement("a", "u1")])), FarmJob(job("b", [measurement("a", "u2"), measurement("a", "u1")])))
    assert set(ended(state, "a").units) == {"u1", "u2"}
    assert set(ended(state, "b").units) == {"u1"}


PLANS = st.lists(st.sampled_from([measurement(name, unit) for name in "abcd" for unit in ("u1", "u2")]), min_size=1, unique=True)


@given(st.lists(st.tuples(PLANS, st.integers(1, 3), st.sampled_from(["ann", "bob"]), st.booleans()), min_size=1, max_size=4))
def test_every_job_ends_with_what_it_asked_for_and_nothing_is_measured_more_often_than_somebody_wants(
    asked: Sequence[tuple[Sequence[Measurement], int, str, bool]],
) -> None:
    jobs = [
        FarmJob(job(f"j{number}", plan, rounds=rounds, fresh=fresh), user=user)
        for number, (plan, rounds, user, fresh) in enumerate(asked)
    ]
    state, runs, number = FarmState(), 0, 0
    for each in jobs:
        state = admitted(state, each, {unit: policy.care for unit, policy in each.progress.policies.items()})
    while steps := decide(state, 0.0):
        number += 1
        assert number < 1000
        for step in steps:
            state = ordered(state, step.unit, f"{number}{step.unit}", jobs=[step.job])
        for step in steps:
            order = f"{number}{step.unit}"
            state = after(state, [*_results(state.job(step.job), step, order), Done(order, step.unit)], 0.0)
            runs += len(step.keys) if isinstance(step, MeasureThese) else 0
    assert all(over(each.progress, state.units) for each in state.jobs.values())
    for each in state.jobs.values():
        assert all(each.progress.progress(key).complete >= each.progress.rounds for key in each.progress.plan)
    wanted = {key for each in jobs for key in each.progress.plan}
    shared = sum(
        max([j.progress.rounds for j in jobs if key in j.progress.plan and not j.progress.fresh], default=0) for key in wanted
    )
    fresh = sum(j.progress.rounds * len(j.progress.plan) for j in jobs if j.progress.fresh)
    assert runs <= shared + fresh


def _results(progress: JobProgress, step: Step, order: str) -> list[Opened | Probed | Measured]:
    if isinstance(step, Open):
        return [Opened(order, step.unit, replace(HELLO, machine_id=step.unit))]
    if isinstance(step, ProbeThese):
        return [Probed(order, probe_of(progress.plan[key])) for key in step.keys]
    return [Measured(order, run_of(progress.plan[key])) for key in step.keys]
