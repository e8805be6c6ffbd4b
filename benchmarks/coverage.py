"""Do nominal 95 % intervals cover the true uncontended latency?  On simulated noise, through the real sampler and statistics.

Each row is a noise model of lutfarm_agents.testing; its docstring there says what the true value is.  Entries stop by their
interval.  `table`: many entries, which share what is known of the spread, or one alone.  `coverage`: of all entries;
`unflagged`: of those that no flag warns of; `converged`: of those that converged, which are so large a `share`.
`false flags`: any but `converged`, `not_precise` and `contended`, of the tables during which the machine was quiet for a
twentieth of the time.  `width`: the median interval over that of an oracle that knows the spread of processes, with as many
of them.  `reference`: the share of established canary references that are right, of so many tables that had one.  `+-`: the
standard error of the coverage, over tables.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from _coverage import Outcome, Scenario, fixed, play_table, wants_more
from _table import Report, options

from lutfarm.statistics import Target
from lutfarm_agents.testing import (
    Autocorrelated,
    CanaryChange,
    ClockJumps,
    Contended,
    Drift,
    LogNormal,
    Neighbour,
    Noise,
    ProcessOffsets,
    Spikes,
    Thermal,
    TwoStates,
    WarmUp,
    compose,
)

MANY = 20  # entries of a table that is not a single one
TRUTHFUL = {"converged", "not_precise", "contended"}
COVERAGE, FALSE_FLAGS, WIDTH, FLAGGED = (0.93, 0.97), 0.05, 1.3, 0.99
QUIET_SHARE = 0.05  # of a table's time: quiet windows existed while it was measured
SEED = 20_000  # of the first table; the others follow


def spread(total: float, *, shared: float = 0.5, varies: float = 0.0) -> ProcessOffsets:
    """Offsets with so much standard deviation together; `shared` is a share of the variance."""
    return ProcessOffsets(total * math.sqrt(shared), total * math.sqrt(1 - shared), varies)


USUAL = (LogNormal(0.02), WarmUp(), spread(0.013))


def scenarios() -> list[Scenario]:
    """Alone (on top of the usual spread of processes), then combined, then trouble."""
    everything: Noise = compose(
        LogNormal(0.02),
        Autocorrelated(0.02, 0.6),
        Spikes(0.02, 5.0),
        WarmUp(),
        spread(0.013),
        TwoStates(),
        Neighbour(),
        Drift(0.005, 600.0),
    )
    return [
        *(
            Scenario(f"process spread {100 * s:g} %", compose(LogNormal(0.02), WarmUp(), spread(s)))
            for s in (0.003, 0.007, 0.013, 0.03, 0.05)
        ),
        Scenario("spread 1.3 %, all of it shared", compose(LogNormal(0.02), WarmUp(), spread(0.013, shared=1.0))),
        Scenario("spread 1.3 %, none of it shared", compose(LogNormal(0.02), WarmUp(), spread(0.013, shared=0.0))),
        Scenario("spread differs by entry, p90 3.2 %", compose(LogNormal(0.02), WarmUp(), spread(0.013, varies=0.7))),
        Scenario("log-normal 10 %", compose(LogNormal(0.10), WarmUp(), spread(0.013))),
        Scenario("autocorrelated .6", compose(Autocorrelated(0.03, 0.6), WarmUp(), spread(0.013))),
        Scenario("autocorrelated .95", compose(Autocorrelated(0.03, 0.95), WarmUp(), spread(0.013))),
        Scenario("spikes", compose(*USUAL, Spikes(0.02, 5.0))),
        Scenario("two states, ms to 10 s", compose(*USUAL, TwoStates())),
        Scenario("two states, 5 ms", compose(*USUAL, TwoStates(fast_s=(0.005,), slow_s=(0.005,)))),
        Scenario("two states, 0.3 s", compose(*USUAL, TwoStates(fast_s=(0.3,), slow_s=(0.3,)))),
        Scenario("two states, 20 s", compose(*USUAL, TwoStates(fast_s=(20.0,), slow_s=(10.0,)))),
        Scenario("two states, 60 s", compose(*USUAL, TwoStates(fast_s=(60.0,), slow_s=(60.0,)))),
        Scenario("drift 2 % in 10 min", compose(*USUAL, Drift(0.02, 600.0))),
        Scenario("thermal, throttles", compose(*USUAL, Thermal(time_constant_s=0.5))),
        Scenario("neighbour", compose(*USUAL, Neighbour()), history_rounds=40),  # with company in a third of them
        Scenario("clock jumps", compose(*USUAL, ClockJumps())),
        Scenario("canary changed, a runtime with it", compose(*USUAL, CanaryChange(1.4, 20)), announced=True, history_rounds=40),
        Scenario(
            "canary changed two days ago, unsaid",
            compose(*USUAL, CanaryChange(1.4, 20)),
            history_rounds=70,
            history_rest_s=3600.0,
        ),
        Scenario("canary changed minutes ago, unsaid", compose(*USUAL, CanaryChange(1.4, 20)), quiet=False, history_rounds=24),
        Scenario("all samples equal", Noise()),
        Scenario("100 times slower", compose(*USUAL), slower=100.0),
        Scenario("all together", everything, history_rounds=40),
        Scenario("first contact", compose(*USUAL), first_contact=True),
        Scenario("never quiet, first contact", compose(*USUAL, Contended()), quiet=False, first_contact=True),
        Scenario("never quiet, known device", compose(*USUAL, Contended()), quiet=False, known_canary=True),
    ]


def play(job: tuple[Scenario, int, int, int, bool]) -> list[Outcome]:
    """Some tables."""
    scenario, first_seed, tables, entries, adaptive = job
    stop = wants_more if adaptive else fixed(5)
    found: list[Outcome] = []
    for seed in range(first_seed, first_seed + tables):
        found += play_table(scenario, seed, entries=entries, target=Target(), stop=stop)
    return found


def row(scenario: Scenario, table: str, outcomes: Sequence[Outcome], tables: int) -> tuple[object, ...]:
    """One row of the report."""
    plain = [one for one in outcomes if not set(one.flags) - {"converged", "not_precise"}]
    narrow = [one for one in outcomes if one.flags == ("converged",)]
    seen = [one for one in outcomes if one.quiet_share >= QUIET_SHARE]
    wrong = [one for one in seen if set(one.flags) - TRUTHFUL]
    errors = np.array([error for one in outcomes if one.quiet for error in one.errors] or [0.0])
    oracle = 2 * 1.96 * float(np.std(errors)) / np.sqrt([len(one.errors) for one in outcomes])
    ratio = float(np.median([one.width for one in outcomes] / oracle)) if oracle.min() > 0 else None
    return (
        scenario.name,
        table,
        len(outcomes),
        _share(outcomes),
        _share(plain),
        _share(narrow),
        round(len(narrow) / len(outcomes), 3),
        round(len(wrong) / len(seen), 4) if seen else None,
        round(sum("contended" in one.flags for one in outcomes) / len(outcomes), 3),
        ratio if ratio is None else round(ratio, 3),
        round(100 * float(np.median([one.error for one in outcomes])), 3),
        round(float(np.mean([one.rounds for one in outcomes])), 2),
        *_references(outcomes, tables),
        _error_of_share(outcomes, tables),
    )


def _references(outcomes: Sequence[Outcome], tables: int) -> tuple[float | None, int]:
    """How many established references are right, of how many; all entries of a table have the same."""
    found = [group[0].reference for group in np.array_split(np.array(outcomes, dtype=object), tables) if len(group)]
    known = [right for right in found if right is not None]
    return round(sum(known) / len(known), 3) if known else None, len(known)


def _share(outcomes: Sequence[Outcome]) -> float | None:
    return round(sum(one.covered for one in outcomes) / len(outcomes), 4) if outcomes else None


def _error_of_share(outcomes: Sequence[Outcome], tables: int) -> float:
    """The standard error of the coverage; entries of one table are not independent, so it is over tables."""
    groups = np.array_split(np.array([one.covered for one in outcomes], dtype=float), tables)
    return round(float(np.std([group.mean() for group in groups], ddof=1) / math.sqrt(tables)), 4)


def judge(scenario: Scenario, cells: Sequence[object], outcomes: Sequence[Outcome]) -> Iterator[str]:
    """What falls short of the issue's figures."""
    if not scenario.quiet:
        said = sum(bool({"reference_provisional", "no_quiet_window"} & set(one.flags)) for one in outcomes) / len(outcomes)
        if said < FLAGGED:
            yield f"only {said:.3f} flagged"
        return
    for name, value in (("coverage", cells[3]), ("unflagged", cells[4])):
        if isinstance(value, float) and not COVERAGE[0] <= value <= COVERAGE[1]:
            yield f"{name} {value}"
    if isinstance(cells[7], float) and cells[7] > FALSE_FLAGS and not scenario.first_contact:
        raised = Counter(flag for one in outcomes for flag in one.flags if flag not in TRUTHFUL)
        yield f"false flags {cells[7]}: {dict(raised)}"
    if isinstance(cells[9], float) and cells[9] > WIDTH:
        yield f"width {cells[9]}"


def main() -> None:
    """Print the table, and what falls short."""
    chosen = options(
        __doc__,
        ("--jobs", {"type": int, "default": 1, "help": "worker processes; at most 2 here"}),
        ("--fixed", {"action": "store_true", "help": "five rounds each, whatever the interval"}),
        ("--only", {"default": "", "help": "rows whose name has this"}),
        ("--measurements", {"type": int, "default": 2000, "help": "of each row"}),
        ("--seed", {"type": int, "default": SEED, "help": "of the first table"}),
    )
    measurements = 200 if chosen.quick else chosen.measurements
    report = Report(
        f"coverage of nominal 95 % intervals, {measurements} simulated measurements each",
        (
            "noise",
            "table",
            "n",
            "coverage",
            "unflagged",
            "converged",
            "share",
            "false flags",
            "contended",
            "width",
            "bias %",
            "rounds",
            "reference",
            "of",
            "+-",
        ),
    )
    with ProcessPoolExecutor(min(2, chosen.jobs)) as pool:
        for scenario in scenarios():
            if chosen.only in scenario.name:
                for entries in (MANY, 1):
                    _add(report, scenario, entries, measurements, pool, chosen)
    report.show(chosen)


def _add(
    report: Report, scenario: Scenario, entries: int, measurements: int, pool: ProcessPoolExecutor, chosen: argparse.Namespace
) -> None:
    tables = max(2, measurements // entries)
    step = max(1, tables // 8)
    jobs = [
        (scenario, chosen.seed + first, min(step, tables - first), entries, not chosen.fixed) for first in range(0, tables, step)
    ]
    outcomes = [one for found in pool.map(play, jobs) for one in found]
    table = f"of {entries}" if entries > 1 else "single"
    cells = row(scenario, table, outcomes, tables)
    report.rows.append(cells)
    report.notes += [f"{scenario.name}, {table}: {what}" for what in judge(scenario, cells, outcomes)]


if __name__ == "__main__":
    main()
