"""Is a canary's reference right once it is established?  On simulated machines, and with --real beside real neighbours here.

A device is met for the first time; rounds of one short workload follow each other with a pause, until the reference is
established or a day is over.  `established`: the share of the devices; `right`: of these, how many references lie within the
gate of the quiet machine's; `wrong`: of all devices, those that are established and not right: at most 5 % are allowed.
`rounds` and `hours`: medians, until it was established.  A *guest* can't show that it is idle; what slows it does not show.
On the others the neighbour shows in the time that all cores were busy.

--real: rounds of an operator on this machine beside real neighbours (_neighbour.py), in a random order of the kinds, so that
quiet rounds lie between any two.  `level`: the median of the rounds' levels over the quiet ones' lower mode; `wrong rounds`: more
than the gate above it; `fastest`: the same of the fastest readings; `others`: cores in use by others, by /proc/stat.
`reference`: what all rounds of a kind give, over the quiet one; `as seen`: whether it is provisional where the rounds lie half
an hour apart; `host idle`: the same if this machine were no guest, so that what shows in /proc/stat is all there is; `unseen`: if
nothing were seen of others.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median

import _device
import numpy as np
from _beside import Neighbours, Work, beside
from _levels import lower_mode_ns
from _table import Report, options

from lutfarm.canary.reference import OTHER_SPEED, CanaryReference, canary_reference
from lutfarm.records.canary_round import CanaryRound, shown_idle
from lutfarm.store.sql.encoding import canary_ns
from lutfarm_agents.testing import LogNormal, Machine, Noise, ProcessOffsets, SimulatedDevice, TwoStates, begin_round, compose
from lutfarm_jobs.round import Slicing
from lutfarm_jobs.run import Run, Slice
from lutfarm_runner.commands import WireSlicing

MOST_S = 86_400.0
PLAN = Slicing()
SEED = 40_000
HALF_HOUR_S = 1800.0
ALLOWED = 0.05
USUAL = (LogNormal(0.02), ProcessOffsets(0.009, 0.009))
QUIET = "none"


@dataclass(frozen=True, slots=True)
class Scenario:
    """A machine that is met for the first time."""

    name: str
    noise: Noise
    pause_s: float
    virtual: bool = False


def spells(fast_s: float, slow_s: float, *, others: float = 0.0) -> Noise:
    return compose(*USUAL, TwoStates(fast_s=(fast_s,), slow_s=(slow_s,), others=others))


SCENARIOS = (
    *(
        Scenario(f"guest, spells of {name}", spells(seconds, seconds), pause_s=120.0, virtual=True)
        for name, seconds in (("0.3 s", 0.3), ("20 s", 20.0), ("2 min", 120.0), ("20 min", 1200.0), ("1 h", 3600.0))
    ),
    Scenario("guest, slow for 90 % of the time, turns of 0.12 s", spells(0.012, 0.108), pause_s=120.0, virtual=True),
    Scenario("guest, slow for 97 % of the time, turns of 0.12 s", spells(0.004, 0.116), pause_s=120.0, virtual=True),
    Scenario("idle, one speed", compose(*USUAL), pause_s=20.0),
    Scenario("idle, spells of 20 s that do not show", spells(20.0, 20.0), pause_s=20.0),
    *(
        Scenario(
            f"neighbour for {100 * share:.0f} % of the time, turns of {turn_s:g} s",
            spells((1 - share) * turn_s, share * turn_s, others=1.0),
            pause_s=120.0,
        )
        for share, turn_s in ((0.5, 0.12), (0.9, 0.12), (0.97, 0.12), (0.9, 60.0), (0.9, 3600.0))
    ),
)


def until_established(device: SimulatedDevice, pause_s: float) -> list[CanaryRound]:
    """The rounds of a device that is met for the first time."""
    machine = Machine(device)
    found: list[CanaryRound] = []
    known = CanaryReference()
    while machine.now_ns < MOST_S * 1e9:
        at_s, before = machine.now_ns / 1e9, machine.environment()
        if len(found) % (1 + len(found) // 64) == 0:
            known = canary_reference(found)
        if not known.provisional:
            break
        plan = WireSlicing(**asdict(PLAN))
        played = begin_round(machine, [100_000.0], plan, seed=len(found), reference_ns=known.reference_ns)
        pieces = [
            Slice(0, (1,), one.canary_before_ns, one.canary_after_ns, one.quiet, one.gated, 0, 0, 1, 1)
            for batch in played.batches()
            for one in batch
        ]
        levels = canary_ns(pieces, (0.1, 0.0))
        if levels is not None:
            found.append(CanaryRound(at_s, levels[0], levels[1], shown_idle(before, machine.environment())))
        machine.rest(pause_s * 1e9)
    return found


def is_right(reference_ns: int | None, true_ns: float) -> bool:
    """Whether a reference is the quiet machine's."""
    return reference_ns is not None and 1 / OTHER_SPEED <= reference_ns / true_ns <= OTHER_SPEED


def simulated(scenario: Scenario, devices: int) -> tuple[object, ...]:
    """One row."""
    played = [
        until_established(SimulatedDevice(noise=scenario.noise, seed=SEED + number, virtual=scenario.virtual), scenario.pause_s)
        for number in range(devices)
    ]
    references = [canary_reference(rounds) for rounds in played]
    known = [(rounds, one) for rounds, one in zip(played, references, strict=True) if not one.provisional]
    right = sum(is_right(one.reference_ns, SimulatedDevice().canary_ns) for _, one in known)
    wrong = (len(known) - right) / devices
    return (
        scenario.name,
        scenario.pause_s,
        len(known) / devices,
        right / len(known) if known else None,
        wrong,
        "yes" if wrong <= ALLOWED else "no",
        median(len(rounds) for rounds, _ in known) if known else None,
        round(median(rounds[-1].at_s - rounds[0].at_s for rounds, _ in known) / 3600, 1) if known else None,
    )


def kinds() -> dict[str, Neighbours | None]:
    """Neighbours by name."""
    cpus = sorted(os.sched_getaffinity(0))
    works: tuple[Work, ...] = ("compute", "memory")
    return {QUIET: None} | {
        f"{work}, {100 * share:.0f} %, {where}": Neighbours((work,), chosen, share)
        for work in works
        for where, chosen in (("one core", (cpus[0],)), ("both cores", (cpus[0], cpus[-1])))
        for share in (0.5, 0.9, 1.0)
    }


def real(each: int, order: random.Random) -> dict[str, list[Run]]:
    """By kind of neighbour: the runs of its rounds, the reference as it was known by then from all of the same kind."""
    found: dict[str, list[Run]] = {name: [] for name in kinds()}
    with _device.scratch() as home, _device.opened(home) as agent:
        wanted, paths = _device.tasks((_device.Convolution(32, 28, 3),), "onnxruntime", home / "models")
        wanted, _ = _device.probed(agent, wanted, paths)
        for index in range(each):
            print(f"round {index + 1} of {each}", file=sys.stderr, flush=True)
            for name, neighbours in order.sample(list(kinds().items()), len(found)):
                known = canary_reference(rounds_of(found[name]))
                with beside(neighbours, seed=order.randrange(2**31)):
                    found[name] += _device.measured(
                        agent, wanted, paths, home / "models", slicing=PLAN, index=index, reference_ns=known.reference_ns
                    ).values()
    return found


def rounds_of(runs: Sequence[Run], *, idle: str = "as seen") -> list[CanaryRound]:
    """As if they lay half an hour apart."""
    made: list[CanaryRound] = []
    for number, run in enumerate(runs):
        before, after = run.before, run.after
        if idle == "host idle" and before and after:
            before, after = replace(before, virtual=False), replace(after, virtual=False)
        levels = canary_ns(run.slices, (0.1, 0.0))
        if levels is not None:
            shown = None if idle == "unseen" else shown_idle(before, after)
            made.append(CanaryRound(HALF_HOUR_S * number, levels[0], levels[1], shown))
    return made


def rows(found: Mapping[str, Sequence[Run]]) -> Iterator[tuple[object, ...]]:
    """One for each kind of neighbour."""
    quiet_ns = lower_mode_ns([one.level_ns for one in rounds_of(found[QUIET])])
    for name, runs in found.items():
        rounds = rounds_of(runs)
        levels = np.array([one.level_ns for one in rounds]) / quiet_ns
        lows = np.array([one.low_ns or 0 for one in rounds]) / quiet_ns
        reference = canary_reference(rounds)
        said = [canary_reference(rounds_of(runs, idle=idle)).provisional for idle in ("as seen", "host idle", "unseen")]
        yield (
            name,
            len(rounds),
            round(float(np.median([others(run) or 0.0 for run in runs])), 2),
            round(float(np.median(levels)), 3),
            round(float(np.mean(levels > OTHER_SPEED)), 2),
            round(float(np.median(lows)), 3),
            None if reference.reference_ns is None else round(reference.reference_ns / quiet_ns, 3),
            "yes" if is_right(reference.reference_ns, quiet_ns) else "no",
            *("provisional" if one else "established" for one in said),
        )


def others(run: Run) -> float | None:
    """Cores that others used during a round."""
    before, after = run.before, run.after
    if before is None or after is None or None in (before.busy_s, after.busy_s, before.own_s, after.own_s):
        return None
    used_s = (after.busy_s or 0) - (before.busy_s or 0) - (after.own_s or 0) + (before.own_s or 0)
    return used_s / (after.time_s - before.time_s)


def main() -> None:
    """Print the table."""
    chosen = options(
        __doc__,
        ("--devices", {"type": int, "default": 100, "help": "of each row"}),
        ("--real", {"type": int, "metavar": "ROUNDS", "help": "beside real neighbours, so many rounds of each"}),
        ("--seed", {"type": int, "default": 4, "help": "of the order of real rounds"}),
    )
    if chosen.real:
        report = Report(
            f"a canary's reference beside real neighbours, {chosen.real} rounds each",
            (
                "neighbours",
                "rounds",
                "others",
                "level",
                "wrong rounds",
                "fastest",
                "reference",
                "right",
                "as seen",
                "host idle",
                "unseen",
            ),
        )
        report.rows += rows(real(chosen.real, random.Random(chosen.seed)))
    else:
        devices = 10 if chosen.quick else chosen.devices
        report = Report(
            f"references once they are established, {devices} simulated devices each",
            ("device", "pause s", "established", "right", "wrong", "at most 5 %", "rounds", "hours"),
        )
        report.rows += [simulated(scenario, devices) for scenario in SCENARIOS]
    report.show(chosen)


if __name__ == "__main__":
    main()
