"""A simulated machine in virtual time, for the sampling code."""

from __future__ import annotations

import random

from lutfarm_runner.child.sampling import Clock, Sampler, Subject, sweep
from lutfarm_runner.commands import WireSlicing

PLAN = WireSlicing(
    passes=12,
    slice_ns=400_000,
    warmup_first=5,
    warmup_again=2,
    gate_ratio=1.12,
    wait_ns=12_000_000,
    contended_keep=3,
    long_ns=4_000_000,
    canary_iterations=3,
)
CANARY_NS = 20_000
READING_NS = 30  # what one look at the clock costs


class Machine:
    """Virtual time.  `slow` says by how much work is slowed at a time; `switch_at` when it is preempted."""

    step_ns = 1

    def __init__(self, slow=lambda _now: 1.0, switch_at=()):
        self.now = 1_000_000
        self.slow = slow
        self.switch_at = sorted(switch_at)
        self.runs = []  # (what, when)

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


class CoarseMachine(Machine):
    """Its clock moves in steps, and nobody says so."""

    step_ns = 0

    def __init__(self, step):
        super().__init__()
        self.step = step

    def look(self):
        return super().look() // self.step * self.step
