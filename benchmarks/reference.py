"""Is a canary's reference right once it is established?  On simulated machines with two speeds, through the real sampler.

A device is met for the first time; rounds of one short workload follow each other with a pause, until the reference is
established.  `right`: it lies within the gate of the fast speed's; `early`: the same had it been asked after 4 rounds over a
minute.  `rounds` and `minutes`: medians, until it was established.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from statistics import median

from _table import Report, options

from lutfarm.canary_round import CanaryRound
from lutfarm.statistics import canary_reference
from lutfarm.statistics.canary import OTHER_SPEED
from lutfarm.store.encoding import canary_ns
from lutfarm_agents.testing import LogNormal, Machine, ProcessOffsets, SimulatedDevice, TwoStates, begin_round, compose
from lutfarm_jobs.measurement import Slice, SlicePlan
from lutfarm_runner.commands import Plan

SOJOURNS_S = ((0.3, 0.3), (5.0, 5.0), (20.0, 20.0), (60.0, 60.0), (120.0, 120.0), (20.0, 60.0))
PAUSES_S = (3.0, 20.0)
MOST_ROUNDS = 1000
PLAN = Plan(**asdict(replace(SlicePlan(), passes=2)))
SEED = 40_000


def until_established(device: SimulatedDevice, pause_s: float) -> list[CanaryRound]:
    """The rounds of a device that is met for the first time."""
    machine = Machine(device)
    found: list[CanaryRound] = []
    while len(found) < MOST_ROUNDS:
        at_s, known = machine.now_ns / 1e9, canary_reference(found)
        if not known.provisional:
            break
        played = begin_round(machine, [100_000.0], PLAN, seed=len(found), reference_ns=known.reference_ns)
        pieces = [
            Slice(0, (1,), one.canary_before_ns, one.canary_after_ns, one.quiet, one.gated, 0, 0, 1, 1)
            for batch in played.batches() for one in batch
        ]
        level_ns = canary_ns(pieces, 0.1)
        if level_ns is not None:
            found.append(CanaryRound(at_s, level_ns, canary_ns(pieces, 0.9)))
        machine.rest(pause_s * 1e9)
    return found


def is_right(rounds: Sequence[CanaryRound], true_ns: float) -> bool:
    """Whether the lower mode of these rounds is the fast speed's."""
    reference_ns = canary_reference(rounds).reference_ns
    return reference_ns is not None and 1 / OTHER_SPEED <= reference_ns / true_ns <= OTHER_SPEED


def early(rounds: Sequence[CanaryRound]) -> Sequence[CanaryRound]:
    """The first four or more, over a minute."""
    return next(rounds[:n] for n in range(4, len(rounds) + 1) if rounds[n - 1].at_s - rounds[0].at_s >= 60.0)


def main() -> None:
    """Print the table."""
    chosen = options(__doc__, ("--devices", {"type": int, "default": 200, "help": "of each row"}))
    devices = 20 if chosen.quick else chosen.devices
    report = Report(
        f"references once they are established, {devices} simulated devices each",
        ("fast s", "slow s", "pause s", "right", "early", "rounds", "minutes"),
    )
    for fast_s, slow_s in SOJOURNS_S:
        noise = compose(LogNormal(0.02), ProcessOffsets(0.009, 0.009), TwoStates(fast_s=(fast_s,), slow_s=(slow_s,)))
        for pause_s in PAUSES_S:
            simulated = [SimulatedDevice(noise=noise, seed=SEED + number) for number in range(devices)]
            played = [until_established(device, pause_s) for device in simulated]
            true_ns = simulated[0].canary_ns
            report.rows.append((
                fast_s, slow_s, pause_s, sum(is_right(rounds, true_ns) for rounds in played) / devices,
                sum(is_right(early(rounds), true_ns) for rounds in played) / devices,
                median(len(rounds) for rounds in played),
                round(median(rounds[-1].at_s - rounds[0].at_s for rounds in played) / 60, 1),
            ))
    report.show(chosen)


if __name__ == "__main__":
    main()
