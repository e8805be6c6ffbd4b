"""The sampling code on a simulated machine, in virtual time."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutfarm_runner.backends import Failed
from lutfarm_runner.commands import Plan
from lutfarm_runner.sampling import (
    BATCH_NS,
    MOST_ITERATIONS,
    REFERENCE_NS,
    Clock,
    Sampler,
    Subject,
    discarded,
    iterations,
    quantile,
    rejected,
    sustain,
    sweep,
    warmups,
)

PLAN = Plan(
    passes=12, slice_ns=400_000, warmup_first=5, warmup_again=2, gate_ratio=1.12, wait_ns=12_000_000,
    contended_keep=3, long_ns=4_000_000, canary_iterations=3,
)
CANARY_NS = 20_000
READING_NS = 30                                    # what one look at the clock costs


class Machine:
    """Virtual time.  `slow` says by how much work is slowed at a time; `switch_at` when it is preempted."""

    step_ns = 1

    def __init__(self, slow=lambda _now: 1.0, switch_at=()):
        self.now = 1_000_000
        self.slow = slow
        self.switch_at = sorted(switch_at)
        self.runs = []                             # (what, when)

    def look(self):
        self.now += READING_NS
        return self.now

    def switches(self):
        return sum(at <= self.now for at in self.switch_at)

    def work(self, name, cost_ns):
        def run():
            self.runs.append((name, self.now))
            self.now += round(cost_ns * self.slow(self.now))

        return run

    def subject(self, number, cost_ns, **fields):
        return Subject(number, self.work(number, cost_ns), cost_ns, **fields)

    def sampler(self, plan=PLAN, reference_ns=CANARY_NS):
        clock = Clock(self.look, lambda: self.now, self.switches, step_ns=self.step_ns)
        return Sampler(plan, clock, self.work("canary", CANARY_NS), reference_ns)


def run_round(machine, subjects, plan=PLAN, *, seed=1, reference_ns=CANARY_NS):
    sampler = machine.sampler(plan, reference_ns)
    return sampler, [sample for batch in sweep(sampler, subjects, random.Random(seed)) for sample in batch]


def square_wave(period_ns, slow):
    return lambda now: slow if (now // period_ns) % 2 else 1.0


def test_on_a_quiet_machine_every_visit_gives_one_quiet_slice():
    machine = Machine()
    subjects = [machine.subject(n, 50_000 * (n + 1)) for n in range(5)]
    _, samples = run_round(machine, subjects)
    assert sorted((s.pass_index, s.id) for s in samples) == [(p, n) for p in range(12) for n in range(5)]
    assert all(s.quiet and s.gated and s.involuntary_switches == 0 for s in samples)
    assert all(value == 50_000 * (s.id + 1) + READING_NS for s in samples for value in s.samples_ns)
    assert not rejected(subjects)
    assert not discarded(subjects)


@pytest.mark.parametrize("period_ns", [3_000_000, 5_000_000])
def test_the_gate_keeps_the_fast_state_only(period_ns):
    machine = Machine(square_wave(period_ns, 1.5))
    subjects = [machine.subject(n, 100_000) for n in range(6)]
    _, samples = run_round(machine, subjects)
    assert len(samples) == 72
    assert all(sample.quiet for sample in samples)
    values = [value for sample in samples for value in sample.samples_ns]
    assert sum(value > 100_000 + READING_NS for value in values) == 0
    assert any(sample.waited_ns > 0 for sample in samples)


def test_without_the_gate_the_same_machine_mixes_both_states():
    machine = Machine(square_wave(3_000_000, 1.5))
    subjects = [machine.subject(n, 100_000) for n in range(6)]
    _, samples = run_round(machine, subjects, replace(PLAN, gate_ratio=2.0))
    values = {value for sample in samples for value in sample.samples_ns}
    assert {100_000 + READING_NS, 150_000 + READING_NS} <= values


def test_a_preempted_slice_is_taken_again_and_counted():
    machine = Machine(switch_at=[1_700_000])
    subject = machine.subject(0, 100_000)
    _, samples = run_round(machine, [subject], replace(PLAN, passes=1))
    assert len(samples) == 1
    assert samples[0].quiet
    assert discarded([subject]) == {0: 1}


def test_a_machine_that_is_never_quiet_keeps_a_few_marked_slices_and_counts_the_rest():
    machine = Machine(lambda _now: 1.5)
    subjects = [machine.subject(n, 100_000) for n in range(3)]
    _, samples = run_round(machine, subjects)
    assert len(samples) == 3 * PLAN.contended_keep
    assert not any(sample.quiet for sample in samples)
    assert rejected(subjects) == {0: 12, 1: 12, 2: 12}
    assert all(sample.waited_ns >= PLAN.wait_ns for sample in samples)


def test_a_machine_that_preempts_all_the_time_is_never_quiet():
    machine = Machine(switch_at=range(0, 1 << 31, 200_000))
    subject = machine.subject(0, 100_000)
    _, samples = run_round(machine, [subject], replace(PLAN, passes=5))
    assert [sample.quiet for sample in samples] == [False] * 3
    assert subject.rejected == 5
    assert subject.discarded > 5


def test_no_wait_budget_means_one_attempt():
    machine = Machine(lambda _now: 1.5)
    subject = machine.subject(0, 100_000)
    _, samples = run_round(machine, [subject], replace(PLAN, wait_ns=0, passes=2))
    assert [sample.waited_ns < 1000 for sample in samples] == [True, True]
    assert subject.discarded == 0


def test_nothing_is_kept_where_the_plan_keeps_no_contended_slice():
    machine = Machine(lambda _now: 1.5)
    subject = machine.subject(0, 100_000)
    _, samples = run_round(machine, [subject], replace(PLAN, contended_keep=0))
    assert samples == []
    assert subject.rejected == 12


def test_warm_up_is_dropped_and_longer_after_loading():
    machine = Machine()
    subjects = [machine.subject(0, 400_000)]
    run_round(machine, subjects, replace(PLAN, passes=2))
    assert [name for name, _ in machine.runs].count(0) == (5 + 1) + (2 + 1)


@pytest.mark.parametrize("warm_up_ns", [0, 5_000_000])
def test_before_the_first_slice_the_canary_keeps_the_device_busy_for_so_long(warm_up_ns):
    machine = Machine()
    sampler = machine.sampler(replace(PLAN, warm_up_ns=warm_up_ns))
    began = machine.now
    sampler.warm_up()
    assert {name for name, _ in machine.runs} == ({"canary"} if warm_up_ns else set())
    starts = [at for _, at in machine.runs]
    assert all(after - before <= 2 * CANARY_NS for before, after in pairwise(starts))      # not one pause
    assert warm_up_ns <= machine.now - began <= warm_up_ns + 2 * CANARY_NS
    assert (sampler.spent.warmup >= warm_up_ns, sampler.spent.canary) == (True, 0)


def test_a_canary_runs_on_both_sides_of_every_slice():
    machine = Machine()
    subjects = [machine.subject(n, 400_000) for n in range(3)]
    _, samples = run_round(machine, subjects)
    names = [name for name, _ in machine.runs]
    for index, name in enumerate(names[:-1]):
        if name != names[index + 1]:
            assert "canary" in (name, names[index + 1])
    assert names[0] == names[-1] == "canary"
    assert {sample.canary_before_ns for sample in samples} == {CANARY_NS + READING_NS}


def test_a_young_canary_level_serves_two_slices():
    machine = Machine()
    subjects = [machine.subject(n, 400_000) for n in range(3)]
    run_round(machine, subjects)
    assert [name for name, _ in machine.runs].count("canary") == 3 * (1 + 36)


@pytest.mark.parametrize(
    ("iteration_ns", "fresh", "dropped"),
    [
        (100_000, True, 5), (100_000, False, 2), (4_000_000, False, 2), (4_000_001, True, 1), (4_000_001, False, 1),
        (40_000_000, False, 1), (40_000_001, False, 0), (40_000_001, True, 1),
    ],
)
def test_how_much_is_dropped(iteration_ns, fresh, dropped):
    assert warmups(Subject(0, int, iteration_ns, fresh=fresh), PLAN) == dropped


@pytest.mark.parametrize(
    ("iteration_ns", "count"), [(1, MOST_ITERATIONS), (400, 1000), (300_000, 1), (500_000, 1), (10**12, 1)]
)
def test_how_many_iterations_fill_a_slice(iteration_ns, count):
    assert iterations(Subject(0, int, iteration_ns), PLAN) == count


def test_long_workloads_are_swept_and_every_iteration_is_kept_with_its_verdict():
    machine = Machine(square_wave(40_000_000, 1.5))
    subjects = [machine.subject(n, 30_000_000) for n in range(4)]
    _, samples = run_round(machine, subjects)
    assert len(samples) == 48
    assert all(len(s.samples_ns) == 1 and not s.gated for s in samples)
    assert {s.quiet for s in samples} == {True, False}
    for sample in samples:
        assert sample.quiet == (max(sample.canary_before_ns, sample.canary_after_ns) < CANARY_NS * 1.12)
    assert sum(rejected(subjects).values()) == sum(not sample.quiet for sample in samples)


def test_nothing_but_canaries_lies_around_a_swept_iteration():
    machine = Machine()
    run_round(machine, [machine.subject(n, 30_000_000) for n in range(3)], replace(PLAN, passes=2))
    names = [name for name, _ in machine.runs]
    for at in (at for at, name in enumerate(names) if name != "canary"):
        warm_up = names[at + 1] != "canary"
        assert warm_up or names[at - 1] == names[at + 1] == "canary"
        assert not warm_up or names[at + 1] == names[at]


def test_a_swept_visit_tries_again_until_one_is_quiet():
    machine = Machine(lambda now: 1.5 if now < 300_000_000 else 1.0)
    subject = machine.subject(0, 30_000_000)
    _, samples = run_round(machine, [subject], replace(PLAN, passes=3, long_tries=4))
    by_pass = [[s.quiet for s in samples if s.pass_index == p] for p in range(3)]
    assert by_pass == [[False] * 4, [False, True], [True]]
    assert rejected([subject]) == {0: 1}


def test_a_swept_visit_waits_for_a_calm_machine_no_longer_than_it_may():
    machine = Machine(lambda _now: 1.5)
    _, samples = run_round(machine, [machine.subject(0, 30_000_000)], replace(PLAN, passes=1, long_tries=3))
    assert len(samples) == 3
    assert PLAN.wait_ns <= sum(s.waited_ns for s in samples) < 2 * PLAN.wait_ns
    waiting = Machine(lambda now: 1.5 if now < 50_000_000 else 1.0)
    _, samples = run_round(waiting, [waiting.subject(0, 30_000_000, fresh=False)], replace(PLAN, passes=1, long_tries=3))
    assert [s.quiet for s in samples] == [True]
    assert 1_000_000 < samples[0].waited_ns < PLAN.wait_ns     # the warm-up ends after 46 ms


@pytest.mark.parametrize(("delayed_ns", "quiet"), [(0, True), (290_000, True), (400_000, False), (None, False)])
def test_a_long_iteration_that_lost_its_core_is_not_quiet(delayed_ns, quiet):
    machine = Machine()
    work, delay = machine.work(0, 30_000_000), [0]

    def run():
        work()
        delay[0] += delayed_ns or 0

    # Without an account of waiting it is wall against CPU time, which stands still here.
    sampler = machine.sampler()
    sampler.clock = Clock(machine.look, lambda: 0, lambda: 0, lambda: None if delayed_ns is None else delay[0])
    subject = Subject(0, run, 30_000_000, least_lost=0.0)
    [sample] = sampler.visit(subject, 0)
    assert sample.run_delay_ns == delayed_ns
    assert sample.quiet is quiet


def test_what_its_own_threads_lose_at_the_best_of_times_counts_for_nothing():
    machine = Machine()
    work, delay = machine.work(0, 30_000_000), [0]

    def run():
        work()
        delay[0] += 900_000

    sampler = machine.sampler()
    sampler.clock = Clock(machine.look, lambda: 0, lambda: 0, lambda: delay[0])
    [sample] = sampler.visit(Subject(0, run, 30_000_000), 0)
    assert sample.quiet


def test_passes_go_through_all_in_a_new_order_that_the_seed_fixes():
    def orders(seed):
        machine = Machine()
        _, samples = run_round(machine, [machine.subject(n, 50_000) for n in range(9)], seed=seed)
        return [tuple(s.id for s in samples if s.pass_index == p) for p in range(12)]

    assert orders(1) == orders(1) != orders(2)
    assert len(set(orders(1))) > 10
    assert all(sorted(order) == list(range(9)) for order in orders(1))


def test_slices_are_handed_out_after_each_pass_or_second():
    machine = Machine()
    quick = [machine.subject(n, 50_000) for n in range(4)]
    assert [len(batch) for batch in sweep(machine.sampler(), quick, random.Random(1))] == [4] * 12
    slow = [machine.subject(n, 600_000_000) for n in range(4)]
    batches = [len(batch) for batch in sweep(machine.sampler(), slow, random.Random(1))]
    assert sum(batches) == 48
    assert max(batches) <= 1 + BATCH_NS // 600_000_000


def test_every_visit_is_announced_before_anything_of_it_runs():
    machine = Machine()
    sampler = machine.sampler()
    sampler.announce = lambda subject: machine.runs.append(("announced", subject.id))
    list(sweep(sampler, [machine.subject(n, 50_000) for n in range(2)], random.Random(1)))
    current = None
    for name, detail in machine.runs:
        if name == "announced":
            current = detail
        elif name != "canary":
            assert name == current


def test_time_spent_adds_up():
    machine = Machine(square_wave(2_000_000, 1.5), switch_at=[3_000_000])
    began = machine.now
    sampler, samples = run_round(machine, [machine.subject(n, 70_000) for n in range(5)])
    spent = sampler.spent
    total = spent.warmup + spent.canary + spent.slices + spent.wait
    assert 0.97 * (machine.now - began) < total <= machine.now - began
    assert spent.slices >= sum(sample.wall_ns for sample in samples)
    assert spent.wait > 0


def test_the_provisional_reference_is_a_low_quantile_over_a_tenth_of_a_second():
    machine = Machine(square_wave(10_000_000, 1.5))
    sampler = machine.sampler(reference_ns=0)
    began = machine.now
    assert sampler.establish() == CANARY_NS + READING_NS
    assert machine.now - began >= REFERENCE_NS
    assert sampler.calm(CANARY_NS)
    assert not sampler.calm(round(CANARY_NS * 1.5))


def test_one_lucky_level_does_not_make_the_reference():
    machine = Machine(lambda now: 0.5 if now < 1_060_000 else 1.0)
    assert machine.sampler(reference_ns=0).establish() == CANARY_NS + READING_NS


@given(st.lists(st.integers(1, 10**9), min_size=1), st.floats(0, 1))
def test_a_quantile_is_one_of_the_values(values, share):
    found = quantile(values, share)
    assert found in values
    assert sum(value < found for value in values) <= share * (len(values) - 1)


@settings(max_examples=60, deadline=None)
@given(
    costs=st.lists(st.integers(2_000, 9_000_000), min_size=1, max_size=5),
    period_ns=st.integers(200_000, 50_000_000),
    slow=st.floats(1.0, 3.0),
    passes=st.integers(1, 5),
    keep=st.integers(0, 3),
    wait_ns=st.integers(0, 5_000_000),
    tries=st.integers(1, 3),
)
def test_whatever_the_machine_does_the_counts_hold(costs, period_ns, slow, passes, keep, wait_ns, tries):
    machine = Machine(square_wave(period_ns, slow), switch_at=range(0, 10**9, 7_777_777))
    subjects = [machine.subject(n, cost) for n, cost in enumerate(costs)]
    plan = replace(PLAN, passes=passes, contended_keep=keep, wait_ns=wait_ns, long_tries=tries)
    _, samples = run_round(machine, subjects, plan)
    assert len({(s.id, s.pass_index) for s in samples if s.gated}) == sum(s.gated for s in samples)
    for subject in subjects:
        own = [sample for sample in samples if sample.id == subject.id]
        quiet = [sample for sample in own if sample.quiet]
        assert len(quiet) + subject.rejected == passes
        if own and own[0].gated:
            assert len(own) - len(quiet) == min(subject.contended, keep)
        else:
            assert len(own) - len(quiet) <= tries * passes
        assert all(len(sample.samples_ns) == iterations(subject, plan) for sample in own)
        for sample in quiet:
            assert max(sample.canary_before_ns, sample.canary_after_ns) <= plan.gate_ratio * CANARY_NS
            if sample.gated:
                assert sample.involuntary_switches == 0


class CoarseMachine(Machine):
    """Its clock moves in steps, and nobody says so."""

    step_ns = 0

    def __init__(self, step):
        super().__init__()
        self.step = step

    def look(self):
        return super().look() // self.step * self.step


@pytest.mark.parametrize("step", [1_000, 2_000])
@pytest.mark.parametrize("cost", [600, 1_400, 2_500, 7_300, 61_300])
def test_what_is_short_of_a_hundred_steps_is_timed_in_blocks(step, cost):
    machine = CoarseMachine(step)
    _, samples = run_round(machine, [machine.subject(0, cost)])
    assert len(samples) == PLAN.passes
    for sample in samples:
        assert sample.block == -(-100 * step // cost)
        assert sample.block * len(sample.samples_ns) <= max(sample.block, PLAN.slice_ns // cost)
        assert all(value == pytest.approx(cost, rel=0.012) for value in sample.samples_ns)


def test_on_a_fine_clock_every_iteration_is_a_sample():
    clock = Clock(lambda: 0, lambda: 0, lambda: 0, step_ns=1)
    assert Sampler(PLAN, clock, lambda: None).step_ns == 1
    machine = Machine()
    _, samples = run_round(machine, [machine.subject(0, 50_000)])
    assert {(sample.block, len(sample.samples_ns)) for sample in samples} == {(1, 8)}


def test_a_block_is_never_longer_than_a_slice():
    machine = CoarseMachine(10_000)
    _, samples = run_round(machine, [machine.subject(0, 30_000)])
    assert {(sample.block, len(sample.samples_ns)) for sample in samples} == {(13, 1)}


def test_a_clock_that_does_not_move_over_a_sample_is_a_failure_and_no_estimate():
    machine = CoarseMachine(1_000_000)
    with pytest.raises(Failed, match=r"steps of 1000000 ns, too coarse for what takes about 660 ns"):
        run_round(machine, [machine.subject(0, 660)])


def test_a_canary_of_few_steps_is_run_several_times_between_two_readings():
    machine = CoarseMachine(10_000)
    sampler = machine.sampler()
    for _ in range(3):
        sampler.level()
    assert all(sampler.level() == pytest.approx(CANARY_NS, rel=0.06) for _ in range(20))


def test_a_sustained_load_has_blocks_too():
    machine = CoarseMachine(1_000)
    plan = replace(PLAN, passes=3, sustained_ns=30_000_000)
    batches = sustain(machine.sampler(plan), [machine.subject(0, 7_300)])
    samples = [sample for batch in batches for sample in batch]
    assert [sample.block for sample in samples] == [14] * 3
    assert all(value == pytest.approx(7_300, rel=0.012) for sample in samples for value in sample.samples_ns)


def test_once_enough_contended_slices_are_kept_a_busy_machine_is_waited_for_and_not_measured():
    machine = Machine(lambda _now: 1.5)
    subject = machine.subject(0, 100_000)
    _, samples = run_round(machine, [subject])
    last = samples[-1]
    assert [sample.pass_index for sample in samples] == [0, 1, 2]
    assert discarded([subject]) == {}
    per_visit = iterations(subject, PLAN)
    dropped = PLAN.warmup_first + 2 * PLAN.warmup_again
    assert sum(name == 0 for name, _ in machine.runs) == PLAN.contended_keep * per_visit + dropped
    assert last.quiet is False


def test_a_window_of_a_sustained_load_keeps_two_hundred_iterations_from_its_begin_to_its_end():
    machine = Machine()
    first_ns = machine.now
    machine.slow = lambda now: 1.0 + (now - first_ns) / 100_000_000       # twice as slow after 100 ms
    plan = replace(PLAN, passes=1, sustained_ns=100_000_000)
    subject = machine.subject(0, 10_000)
    ((sample,),) = sustain(machine.sampler(plan), [subject])
    ran = sum(name == 0 for name, _ in machine.runs)
    assert ran > 5_000
    assert len(sample.samples_ns) == -(-ran // 50)
    assert sample.samples_ns[0] == pytest.approx(10_000, rel=0.02)
    assert sample.samples_ns[-1] == pytest.approx(20_000, rel=0.03)
    assert sample.samples_ns == sorted(sample.samples_ns)
