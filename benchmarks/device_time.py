"""Device time that stopping by the interval saves, against a fixed number of rounds that serves 95 % of the entries as well.

Two jobs over the same operators: one stops each entry by its interval (up to `--most` rounds, so that all may get there), the
other gives every entry all of them; its tables of the first 2, 3, ... rounds say how many, N, bring 95 % of the entries to
the target.  Device time is all that the farm charges: openings, probes and rounds.  `saved` is what the first job took less
than openings, probes and N rounds of the second; `rounds saved` counts processes, and does not depend on how fast the machine was
meanwhile.  `reached`: the share of the entries within the target; where stopping left it below 95 %, N is for that share.  A
fixed plan that misses it with all its rounds counts with all of them, as `at least`.

On simulated devices (virtual time, the same processes in both jobs), calm and disturbed: stopping must not look better because
a machine is slow.  And on this machine, both jobs in turn, in a random order.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import _device
import numpy as np
from _table import Report, options
from _tables import Desk, Tabled, files, mix, register, spread_over

from lutfarm.home import find_home
from lutfarm.statistics.estimates.precision import ProcessEstimate, StopRule, process_estimate_of, reached
from lutfarm.store import open_store
from lutfarm_agents.testing import LogNormal, Neighbour, Noise, ProcessOffsets, SimulatedDevice, TwoStates, WarmUp, compose

SERVED, LEAST_SAVED = 0.95, 0.60
RULE = StopRule()
USUAL = (LogNormal(0.02), WarmUp())
SMALL = [f"relu-conv-bn_H8_W8_Cin8_Cout{count}_k1_s1" for count in range(8, 108)]  # any file: latencies are drawn by its hash
# The median of the own spreads is 1.2 %, and nine in ten are between 0.3 and 5 %.
MIXED = ProcessOffsets(0.003, 0.0122, 0.86)


def spread(total: float) -> ProcessOffsets:
    """Offsets with so much standard deviation together, half of the variance shared by the process."""
    return ProcessOffsets(total * math.sqrt(0.5), total * math.sqrt(0.5))


DEVICES: dict[str, Noise] = {
    "spread 0.3 to 5 % by entry": compose(*USUAL, MIXED),
    "the same, two states": compose(*USUAL, MIXED, TwoStates()),
    "the same, a neighbour": compose(*USUAL, MIXED, Neighbour()),
    "spread 1.3 %": compose(*USUAL, spread(0.013)),
}


@dataclass(frozen=True, slots=True)
class Pair:
    """Both jobs over the same operators."""

    adaptive: Tabled
    fixed: Tabled
    reached: Sequence[bool]  # by entry: whether stopping left it within the target
    served: Sequence[Sequence[bool]]  # the same after the first 2, 3, ... of all rounds


def within(levels: Mapping[str, Sequence[ProcessEstimate]], keys: Sequence[str], rounds: int) -> list[bool]:
    """Which entries' intervals, as a table states them, are within the target after so many rounds."""
    widths = {key: found.relative_half_width for key, found in reached({k: v[:rounds] for k, v in levels.items()}, RULE).items()}
    return [widths.get(key, math.inf) <= RULE.relative_half_width for key in keys]


def levels_of(desk: Desk, tabled: Tabled) -> dict[str, list[ProcessEstimate]]:
    """The process-level estimates of each measurement, in the order of its rounds."""
    found: dict[str, list[ProcessEstimate]] = {}
    for run in sorted(desk.runs(tabled), key=lambda run: run.round_index):
        if level := process_estimate_of(run):
            found.setdefault(run.key, []).append(level)
    return found


def play(desk: Desk, number: int, keys: Sequence[str], most: int, order: random.Random) -> Pair:
    """Both jobs, in a random order."""
    found: dict[str, Tabled] = {}
    for stop in order.sample(("interval", "rounds"), 2):
        found[stop] = desk.measure(f"{stop}-{number}", keys, {"stop": stop, "rounds": most})
    adaptive, fixed = found["interval"], found["rounds"]
    places = [m.key for m in desk.store.measurements(fixed.job_id)]
    stopped, all_of_them = levels_of(desk, adaptive), levels_of(desk, fixed)
    served = [within(all_of_them, places, n) for n in range(2, most + 1)]
    return Pair(adaptive, fixed, within(stopped, places, most), served)


def row(name: str, pairs: Sequence[Pair], entries: int) -> tuple[object, ...]:
    """One row of the report."""
    share = float(np.mean([pair.reached for pair in pairs]))
    shares = [float(np.mean([pair.served[index] for pair in pairs])) for index in range(len(pairs[0].served))]
    enough = [n for n, one in enumerate(shares, 2) if one >= min(SERVED, share)]
    rounds = enough[0] if enough else len(shares) + 1
    adaptive_s = sum(pair.adaptive.held_s for pair in pairs)
    fixed_s = sum(fixed_device_s(pair.fixed, rounds) for pair in pairs)
    per_entry = float(np.mean([pair.adaptive.rounds for pair in pairs]))
    return (
        name,
        entries * len(pairs),
        round(share, 3),
        round(per_entry, 2),
        f"{'' if enough else '> '}{rounds}",
        round(shares[rounds - 2], 3),
        round(adaptive_s / len(pairs) / entries, 4),
        round(fixed_s / len(pairs) / entries, 4),
        round(100 * (1 - adaptive_s / fixed_s), 1),
        round(100 * (1 - per_entry / rounds), 1),
        "" if enough else "at least",
    )


def fixed_device_s(fixed: Tabled, rounds: int) -> float:
    """Openings, probes and the first rounds of the job that had more."""
    return fixed.held_s - sum(spent_s for index, spent_s in fixed.round_s.items() if index >= rounds)


def simulated(name: str, noise: Noise, keys: Sequence[str], *, tables: int, most: int, seed: int) -> list[Pair]:
    """So many devices of one noise; each has had a short job before."""
    pairs: list[Pair] = []
    for number in range(tables):
        say(f"{name}, device {number + 1} of {tables}")
        with _device.scratch() as home, open_store(find_home(home).path) as store:
            device = SimulatedDevice(noise=noise, seed=seed + number)
            desk = replace(register(home, store), simulated=replace(device, seed=seed + 1000 + number))
            desk.measure("past", keys[:4], {"stop": "rounds", "rounds": 4})
            pairs.append(play(replace(desk, simulated=device), 0, keys, most, random.Random(number)))
    return pairs


def real(keys: Sequence[str], *, tables: int, most: int, seed: int) -> list[Pair]:
    """On this machine, which has had a short job before."""
    order = random.Random(seed)
    with _device.scratch() as home, open_store(find_home(home).path) as store:
        desk = register(home, store)
        files(keys, home)
        desk.measure("past", keys[:4], {"stop": "rounds", "rounds": 4})
        pairs: list[Pair] = []
        for number in range(tables):
            say(f"this machine, {number + 1} of {tables}")
            pairs.append(play(desk, number, keys, most, order))
    return pairs


def rows(*, quick: bool, most: int, seed: int) -> Iterator[tuple[object, ...]]:
    """The simulated devices, then this machine."""
    keys = SMALL[:: 5 if quick else 1]
    for name, noise in list(DEVICES.items())[: 2 if quick else None]:
        yield row(f"simulated: {name}", simulated(name, noise, keys, tables=2, most=most, seed=seed), len(keys))
    own = spread_over(mix(), 10) if quick else mix()
    yield row("this machine", real(own, tables=1 if quick else 3, most=12 if quick else 20, seed=seed), len(own))


def main() -> None:
    """Print one row a device."""
    chosen = options(
        __doc__,
        ("--most", {"type": int, "default": 40, "help": "rounds of an entry on simulated devices"}),
        ("--seed", {"type": int, "default": 50, "help": "of the first simulated device, and of orders"}),
    )
    report = Report(
        f"device time of stopping by the interval and of fixed rounds, target {100 * RULE.relative_half_width:g} %",
        (
            "device",
            "entries",
            "reached",
            "rounds",
            "N fixed",
            "N serves",
            "s an entry",
            "fixed s",
            "saved %",
            "rounds saved %",
            "",
        ),
    )
    report.rows += rows(quick=chosen.quick, most=chosen.most, seed=chosen.seed)
    for cells in (report.rows[0], report.rows[-1]):
        saved = min(float(cells[8]), float(cells[9])) / 100
        met = "yes" if saved >= LEAST_SAVED else "no"
        report.notes.append(f"{cells[0]}: saved at least {LEAST_SAVED:.0%} of device time and of rounds: {met} ({saved:.0%})")
    report.show(chosen)


def say(what: str) -> None:
    """How far it is."""
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
