"""Iterations that are short beside a step of the clock are timed in blocks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.sampling_kit import CANARY_NS, PLAN, CoarseMachine, Machine, run_round

from lutfarm_runner.child.sampling import Clock, Sampler, sustain
from lutfarm_runner.workload_failure import Failed


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
