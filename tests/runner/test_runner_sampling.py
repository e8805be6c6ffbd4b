"""The sampling code on a simulated machine, in virtual time."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sampling_kit import CANARY_NS, PLAN, READING_NS, Machine, run_round, square_wave

from lutfarm_runner.child.sampling import (
    BATCH_NS,
    MOST_ITERATIONS,
    REFERENCE_NS,
    Subject,
    discarded,
    iterations,
    quantile,
    rejected,
    sustain,
    sweep,
    warmups,
)


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
    assert all(after - before <= 2 * CANARY_NS for before, after in pairwise(starts))  # not one pause
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
        (100_000, True, 5),
        (100_000, False, 2),
        (4_000_000, False, 2),
        (4_000_001, True, 1),
        (4_000_001, False, 1),
        (40_000_000, False, 1),
        (40_000_001, False, 0),
        (40_000_001, True, 1),
    ],
)
def test_how_much_is_dropped(iteration_ns, fresh, dropped):
    assert warmups(Subject(0, int, iteration_ns, fresh=fresh), PLAN) == dropped


@pytest.mark.parametrize(("iteration_ns", "count"), [(1, MOST_ITERATIONS), (400, 1000), (300_000, 1), (500_000, 1), (10**12, 1)])
def test_how_many_iterations_fill_a_slice(iteration_ns, count):
    assert iterations(Subject(0, int, iteration_ns), PLAN) == count


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
    machine.slow = lambda now: 1.0 + (now - first_ns) / 100_000_000  # twice as slow after 100 ms
    plan = replace(PLAN, passes=1, sustained_ns=100_000_000)
    subject = machine.subject(0, 10_000)
    ((sample,),) = sustain(machine.sampler(plan), [subject])
    ran = sum(name == 0 for name, _ in machine.runs)
    assert ran > 5_000
    assert len(sample.samples_ns) == -(-ran // 50)
    assert sample.samples_ns[0] == pytest.approx(10_000, rel=0.02)
    assert sample.samples_ns[-1] == pytest.approx(20_000, rel=0.03)
    assert sample.samples_ns == sorted(sample.samples_ns)
