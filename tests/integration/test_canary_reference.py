"""A wrong reference of a canary is provisional: devices that are first met while others use them, in virtual time."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from lutfarm.canary.reference import OTHER_SPEED, CanaryReference, canary_reference
from lutfarm.records.canary_round import CanaryRound, shown_idle
from lutfarm.store.sql.encoding import canary_ns
from lutfarm_agents.testing import LogNormal, Machine, Noise, ProcessOffsets, SimulatedDevice, TwoStates, begin_round, compose
from lutfarm_jobs.round import Slicing
from lutfarm_jobs.run import Slice
from lutfarm_runner.commands import WireSlicing

PLAN = WireSlicing(**asdict(Slicing()))
DEVICES = 5
USUAL = (LogNormal(0.02), ProcessOffsets())


def met(noise: Noise, *, virtual: bool, pause_s: float, rounds: int) -> list[tuple[CanaryReference, bool]]:
    """What is known of each device's canary after so many rounds, and whether that is the quiet machine's speed."""
    found: list[tuple[CanaryReference, bool]] = []
    for seed in range(DEVICES):
        device = SimulatedDevice(noise=noise, seed=seed, virtual=virtual)
        machine, history = Machine(device), list[CanaryRound]()
        for number in range(rounds):
            at_s, before = machine.now_ns / 1e9, machine.environment()
            known = canary_reference(history)
            played = begin_round(machine, [100_000.0], PLAN, seed=number, reference_ns=known.reference_ns)
            pieces = [
                Slice(0, (1,), one.canary_before_ns, one.canary_after_ns, one.quiet, one.gated, 0, 0, 1, 1)
                for batch in played.batches()
                for one in batch
            ]
            level_ns, low_ns = canary_ns(pieces, (0.1, 0.0)) or (None, None)
            if level_ns is not None:
                history.append(CanaryRound(at_s, level_ns, low_ns, shown_idle(before, machine.environment())))
            machine.rest(pause_s * 1e9)
        known = canary_reference(history)
        found.append((known, known.reference_ns is not None and known.reference_ns <= OTHER_SPEED * device.canary_ns))
    return found


def spells(fast_s: float, slow_s: float, *, others: float) -> Noise:
    return compose(*USUAL, TwoStates(fast_s=(fast_s,), slow_s=(slow_s,), others=others))


@pytest.mark.parametrize(
    ("noise", "virtual", "pause_s"),
    [
        # always there, and the system shows it, for however many hours
        (spells(0.001, 100_000.0, others=1.0), False, 1800.0),
        (spells(0.001, 100_000.0, others=1.0), True, 1800.0),
        # the same from another guest, which does not show: for three minutes, for three hours
        (spells(0.001, 100_000.0, others=0.0), True, 10.0),
        (spells(0.001, 100_000.0, others=0.0), True, 500.0),
    ],
)
def test_a_neighbour_that_is_always_there_leaves_the_reference_provisional(noise: Noise, virtual: bool, pause_s: float) -> None:
    found = met(noise, virtual=virtual, pause_s=pause_s, rounds=20)
    assert [right for _, right in found] == [False] * DEVICES  # it can't be seen through
    assert all(known.provisional for known, _ in found)


def test_two_speeds_in_three_minutes_establish_nothing() -> None:
    """Both may be slow: the lower one is only the lower one of these three minutes."""
    noise = compose(*USUAL, TwoStates(fast_s=(0.3,), slow_s=(0.3,)), TwoStates(1.3, 1.3, fast_s=(0.001,), slow_s=(100_000.0,)))
    found = met(noise, virtual=True, pause_s=10.0, rounds=20)
    assert [right for _, right in found] == [False] * DEVICES
    assert all(known.provisional for known, _ in found)


@pytest.mark.parametrize(
    ("noise", "virtual", "pause_s", "rounds"),
    [
        (compose(*USUAL), False, 40.0, 18),  # idle, and that shows
        (spells(0.06, 0.06, others=0.4), False, 40.0, 18),  # as good as idle
        (spells(0.3, 0.3, others=0.0), True, 900.0, 18),  # a guest, in the course of an afternoon
    ],
)
def test_what_is_established_is_right(noise: Noise, virtual: bool, pause_s: float, rounds: int) -> None:
    assert all(
        (known.provisional, right) == (False, True)
        for known, right in met(noise, virtual=virtual, pause_s=pause_s, rounds=rounds)
    )


def test_fast_moments_that_the_levels_miss_leave_it_provisional() -> None:
    """Slow but for 4 ms in 120: of 34 readings a round, the fastest shows it, the 10th percentile does not."""
    found = met(spells(0.004, 0.116, others=0.0), virtual=True, pause_s=900.0, rounds=18)
    assert any(not right for _, right in found)
    assert all(known.provisional or right for known, right in found)
