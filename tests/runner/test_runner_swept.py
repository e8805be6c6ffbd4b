"""Long workloads are swept: each iteration between two canaries, with a verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.sampling_kit import CANARY_NS, PLAN, Machine, run_round, square_wave

from lutfarm_runner.child.sampling import Clock, Subject, rejected


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
    assert 1_000_000 < samples[0].waited_ns < PLAN.wait_ns  # the warm-up ends after 46 ms


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
