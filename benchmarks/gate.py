"""Does the gate change the answer by choosing?  On simulated noise that the machine's speed has no part in, it must not.

The same simulated processes (same offsets, same streams of noise; lutfarm_agents.testing) are sampled by the runner's own code
twice: with the gate as it is, and with it open.  What the canary happens to read then has nothing to do with what an operator
takes, so both must agree.  `gated - open`: mean difference of the estimates' logarithms in %, with a 95 % interval over
tables.  `beyond noise`: the share of entries whose differences over processes are told from zero by Student's t at 5 %: about 5
where nothing but chance is left, 0 where the gate turned nothing away.  `turned away`: slices that were timed and dropped, and
visits without a quiet one, over all visits.  `gated - truth`, `open - truth`: against what an estimate should find.  The last
rows are the control: there the machine has two speeds, or a neighbour, and the gate is to choose.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace

import numpy as np
from _table import Report, options
from scipy.stats import t as student

from lutfarm.canary.reference import canary_reference
from lutfarm.records.canary_round import CanaryRound
from lutfarm.statistics.samples.process import process_percentile_ns
from lutfarm_agents.testing import (
    Autocorrelated,
    LogNormal,
    Machine,
    Neighbour,
    Noise,
    ProcessOffsets,
    SimulatedDevice,
    Spikes,
    TwoStates,
    WarmUp,
    begin_round,
    compose,
)
from lutfarm_jobs.round import Slicing
from lutfarm_runner.commands import WireSlicing

SHORTEST_NS, LONGEST_NS = 20_000.0, 1_500_000.0
ENTRIES, PROCESSES, PAST = 12, 6, 8
SHIFT = 0.2  # in percent: a tenth of the target of an interval
GATED = WireSlicing(**asdict(Slicing()))
OPEN = replace(GATED, gate_ratio=1000.0)
USUAL = (WarmUp(), ProcessOffsets())
INDEPENDENT: dict[str, Noise] = {
    "log-normal 2 %": compose(*USUAL, LogNormal(0.02)),
    "log-normal 10 %": compose(*USUAL, LogNormal(0.10)),
    "autocorrelated .6, 10 %": compose(*USUAL, Autocorrelated(0.10, 0.6)),
    "autocorrelated .95, 10 %": compose(*USUAL, Autocorrelated(0.10, 0.95)),
    "spikes, 2 % of 5 times": compose(*USUAL, LogNormal(0.02), Spikes(0.02, 5.0)),
    "spikes, 30 % of 3 times": compose(*USUAL, LogNormal(0.02), Spikes(0.3, 3.0)),
    "processes differ by 3 %": compose(WarmUp(), LogNormal(0.05), ProcessOffsets(0.02, 0.02)),
}
DEPENDENT: dict[str, Noise] = {
    "control: two states, ms to 10 s": compose(*USUAL, LogNormal(0.02), TwoStates()),
    "control: neighbour": compose(*USUAL, LogNormal(0.02), Neighbour()),
}


@dataclass(frozen=True, slots=True)
class Played:
    """One table: estimates in log against the truth, processes by entries; NaN where no slice was quiet."""

    errors: np.ndarray
    turned_away: int
    visits: int


def play(noise: Noise, plan: WireSlicing, seed: int) -> Played:
    """A machine from its beginning, with a past that its canary's reference comes from."""
    device = SimulatedDevice(noise=noise, seed=seed)
    machine = Machine(device)
    true_ns = np.exp(np.random.default_rng([seed, 7]).uniform(math.log(SHORTEST_NS), math.log(LONGEST_NS), ENTRIES))
    rounds: list[CanaryRound] = []
    for number in range(PAST):
        _process(machine, true_ns[:1], replace(plan, passes=2), rounds, number)
        machine.rest(20e9)
    found = [_process(machine, true_ns, plan, rounds, PAST + number) for number in range(PROCESSES)]
    truth = np.log([device.estimand_ns(float(ns)) for ns in true_ns])
    return Played(
        np.array([errors for errors, _ in found]) - truth, sum(away for _, away in found), plan.passes * ENTRIES * PROCESSES
    )


def _process(
    machine: Machine, true_ns: np.ndarray, plan: WireSlicing, rounds: list[CanaryRound], number: int
) -> tuple[np.ndarray, int]:
    """One fresh process: estimates in log, and what the gate turned away.  What it says of the canary joins `rounds`."""
    at_s = machine.now_ns / 1e9
    played = begin_round(
        machine, [float(ns) for ns in true_ns], plan, seed=number, reference_ns=canary_reference(rounds).reference_ns
    )
    pieces = [piece for batch in played.batches() for piece in batch]
    looks = [level for piece in pieces for level in (piece.canary_before_ns, piece.canary_after_ns)]
    if looks:
        rounds.append(CanaryRound(at_s, round(float(np.percentile(looks, 10)))))
    estimates = np.full(len(true_ns), np.nan)
    for subject in played.subjects:
        samples = [ns for piece in pieces if piece.id == subject.id and piece.quiet for ns in piece.samples_ns]
        if samples:
            estimates[subject.id] = math.log(process_percentile_ns(np.array(samples, dtype=np.float64), "gated"))
    return estimates, sum(subject.discarded + subject.rejected for subject in played.subjects)


def both(job: tuple[Noise, int]) -> tuple[Played, Played]:
    """The same processes, gated and open."""
    noise, seed = job
    return play(noise, GATED, seed), play(noise, OPEN, seed)


def row(name: str, tables: Sequence[tuple[Played, Played]]) -> tuple[object, ...]:
    """One row of the report, in percent."""
    shifts = [100 * (gated.errors - opened.errors) for gated, opened in tables]
    means = np.array([float(np.nanmean(shift)) for shift in shifts if not np.isnan(shift).all()])  # else never quiet
    half = float(student.ppf(0.975, len(means) - 1) * np.std(means, ddof=1) / math.sqrt(len(means)))
    middle = float(np.mean(means))
    away = sum(gated.turned_away for gated, _ in tables) / sum(gated.visits for gated, _ in tables)
    return (
        name,
        len(tables) * ENTRIES,
        round(100 * away, 1),
        round(middle, 4),
        round(middle - half, 4),
        round(middle + half, 4),
        round(100 * float(np.mean(np.concatenate([told_from_zero(shift) for shift in shifts]))), 1),
        *(round(100 * float(np.nanmean([played[which].errors for played in tables])), 3) for which in (0, 1)),
    )


def told_from_zero(shift: np.ndarray) -> np.ndarray:
    """By entry: whether its differences over processes are beyond chance.  All of them zero: they are not."""
    found: list[bool] = []
    for column in shift.T:
        known = column[~np.isnan(column)]
        spread = float(np.std(known, ddof=1)) if len(known) > 2 else 0.0
        bound = float(student.ppf(0.975, max(1, len(known) - 1))) * spread / math.sqrt(max(1, len(known)))
        found.append(spread > 0 and abs(float(np.mean(known))) > bound)
    return np.array(found)


def main() -> None:
    """Print one row a noise."""
    chosen = options(
        __doc__,
        ("--jobs", {"type": int, "default": 1, "help": "worker processes; at most 2 here"}),
        ("--tables", {"type": int, "help": "of each noise (40; 6 with --quick)"}),
        ("--seed", {"type": int, "default": 70_000, "help": "of the first table"}),
    )
    tables = chosen.tables or (6 if chosen.quick else 40)
    report = Report(
        f"estimates with the gate and without, {tables} simulated tables of {ENTRIES} entries and {PROCESSES} processes",
        (
            "noise",
            "entries",
            "turned away %",
            "gated - open %",
            "low",
            "high",
            "beyond noise %",
            "gated - truth %",
            "open - truth %",
        ),
    )
    with ProcessPoolExecutor(min(2, chosen.jobs)) as pool:
        for name, noise in (INDEPENDENT | DEPENDENT).items():
            report.rows.append(row(name, list(pool.map(both, [(noise, chosen.seed + n) for n in range(tables)]))))
    wrong = [str(cells[0]) for cells in report.rows[: len(INDEPENDENT)] if not agrees(cells)]
    report.notes.append(
        f"where the machine's speed has no part: interval within +-{SHIFT:g} % and holding 0 in each row but one in twenty: "
        f"{'no: ' + ', '.join(wrong) if len(wrong) > 1 else 'yes' if not wrong else 'all but ' + wrong[0]}"
    )
    report.show(chosen)


def agrees(cells: Sequence[object]) -> bool:
    """Whether gated and open agree."""
    low, high = (float(cells[index]) for index in (4, 5))  # type: ignore[arg-type]
    return -SHIFT <= low <= 0 <= high <= SHIFT


if __name__ == "__main__":
    main()
