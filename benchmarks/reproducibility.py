"""How far two tables taken one after the other differ, by protocol; on this machine, protocols interleaved in one run.

Each repetition makes a table by every protocol, in a random order.  `ours` is a job of the farm with its default sampling:
real pool, agent, runner, gate and stopping, and `s an operator` is what the farm charges the device for all of it, openings and
probes included.  The others are written independently (_protocols.py), in fresh processes with the same bound call, core
and input; their time is that of their processes from start to end.  `same time`: with their own repetitions scaled until they
held the device as long as ours did; of the five processes, three estimates from the same samples.

Difference: |log ratio| of an operator between two tables, over all pairs of tables and all operators.  Bias: against the lower
mode of a long run that no gate chose: fresh processes between any two other steps, from the first to the last minute, of
shuffled slices of every operator; of the medians of its slices, the lowest peak of a density with a Gaussian kernel of 2 %
that is a quarter as high as the highest.  `x`: how many times ours.

Ours meets a device whose canary is known, as in use: one that has had five short jobs over more than a minute.  Two tables by
stores that had never met it are the row `first contact`, held against ours.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import _device
import numpy as np
from _levels import lower_mode_ns
from _table import Report, options
from _tables import Desk, Tabled, files, mix, register, spread_over

from lutfarm.home import find_home
from lutfarm.store import open_store
from lutfarm_jobs.round import Slicing

SCRIPT = Path(__file__).with_name("_protocols.py")
PROCESSES = 5
LONG_S = 1.3  # of each piece of the long run, with the start of its process
QUIET = 1.12  # of its own lower mode: a slice of the long run below was quiet
MEDIAN, P95, HELD_S = (1.0, 0.5), (4.0, 3.0), (0.5, 0.25)  # to reach, and beyond that
LONGEST_S = 120  # of one process
OURS, CONTACT = "ours", "ours, first contact"
Levels = dict[str, float]


@dataclass(slots=True)
class Protocol:
    """One row: its tables in ns by operator, and how long each held the device."""

    name: str
    tables: list[Levels] = field(default_factory=list)
    held_s: list[float] = field(default_factory=list)

    def add(self, table: Mapping[str, float], held_s: float) -> None:
        self.tables.append(dict(table))
        self.held_s.append(held_s)


@dataclass(slots=True)
class Bench:
    """What all steps share."""

    desk: Desk
    paths: dict[str, Path]  # by operator
    cpu: int
    order: random.Random
    rows: dict[str, Protocol] = field(default_factory=dict)
    ours: list[Tabled] = field(default_factory=list)
    slices: dict[str, list[float]] = field(default_factory=dict)
    pieces: int = 0
    loads: list[float] = field(default_factory=list)

    def row(self, name: str) -> Protocol:
        return self.rows.setdefault(name, Protocol(name))

    def ask(self, protocol: str, keys: Sequence[str], **more: object) -> tuple[list, float]:
        """One process; its answer and how long it lasted."""
        began_s = time.monotonic()
        request = {
            "protocol": protocol,
            "cpus": [self.cpu],
            "seed": self.order.randrange(2**32),
            "models": [str(self.paths[key]) for key in keys],
            **more,
        }
        done = subprocess.run(
            [sys.executable, "-I", str(SCRIPT)],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{SCRIPT.name} failed: {done.stderr.strip()[-500:]}")
        return json.loads(done.stdout), time.monotonic() - began_s

    def piece(self) -> None:
        """A piece of the long run, and a look at the machine's load."""
        found, _ = self.ask("slices", list(self.paths), until_s=time.monotonic() + LONG_S)
        for key, levels in zip(self.paths, found, strict=True):
            self.slices.setdefault(key, []).extend(levels)
        self.pieces += 1
        self.loads.append(os.getloadavg()[0])

    def like_ours_s(self) -> float:
        """How long a table of ours held the device so far."""
        known = self.rows[OURS] if OURS in self.rows else self.rows[CONTACT]
        return float(np.mean(known.held_s))

    def one(self, name: str, protocol: str, keys: Sequence[str], *, scaled: bool, **more: object) -> None:
        """A table by one process of a protocol that gives means."""
        until = {"until_s": time.monotonic() + self.like_ours_s()} if scaled else {}
        found, held_s = self.ask(protocol, keys, **more, **until)
        self.row(name).add({key: one["mean"] for key, one in zip(keys, found, strict=True)}, held_s)

    def many(self) -> None:
        """Tables by several processes: they share ours' time."""
        began_s, keys = time.monotonic(), list(self.paths)
        end_s = began_s + self.like_ours_s()
        found = []
        for index in range(PROCESSES):
            share_s = (end_s - time.monotonic()) / (PROCESSES - index)
            found.append(self.ask("iterations", keys, until_s=time.monotonic() + share_s)[0])
        held_s = time.monotonic() - began_s
        means, lows = (np.array([[one[what] for one in process] for process in found]) for what in ("mean", "min"))
        for name, levels in (("means", means.mean(axis=0)), ("mean of minima", lows.mean(axis=0)), ("minimum", lows.min(axis=0))):
            table = {key: float(level) for key, level in zip(keys, levels, strict=True)}
            self.row(f"{PROCESSES} processes, {name}, same time").add(table, held_s)

    def table(self, number: int) -> None:
        """One of ours."""
        found = self.desk.measure(f"table-{number}", list(self.paths))
        self.ours.append(found)
        self.row(OURS).add(found.latencies_ns, found.held_s)

    def contact(self, home: Path) -> None:
        """One of ours by a store that knows nothing of the device."""
        with open_store(find_home(home).path) as store:
            found = register(home, store).measure("first-contact", list(self.paths))
        self.row(CONTACT).add(found.latencies_ns, found.held_s)

    def warm(self, seconds: float) -> None:
        """The device gets a past: five short jobs; the long run goes on in between."""
        keys = spread_over(list(self.paths), 4)
        for index in range(5):
            began_s = time.monotonic()
            self.desk.measure(f"past-{index}", keys, {"rounds": 1})
            self.piece()
            while index < 4 and time.monotonic() - began_s < seconds / 4:
                self.piece()

    def repetition(self, number: int, few: Sequence[str]) -> None:
        """Every protocol once, in a random order, the long run in between."""
        keys = list(self.paths)
        steps = [
            lambda: self.table(number),
            lambda: self.one("mean of 50", "iterations", keys, scaled=False, count=50),
            lambda: self.one("mean, same time", "iterations", keys, scaled=True),
            lambda: self.one("TVM time_evaluator", "tvm", keys, scaled=False),
            lambda: self.one("TVM time_evaluator, same time", "tvm", keys, scaled=True),
            lambda: self.one("TensorFlow Lite benchmark_model", "benchmark_model", few, scaled=False),
            lambda: self.one("TensorFlow Lite benchmark_model, same time", "benchmark_model", keys, scaled=True),
            self.many,
        ]
        self.order.shuffle(steps)
        for step in steps:
            step()
            self.piece()


def differences(tables: Sequence[Levels], keys: Sequence[str]) -> np.ndarray:
    """In percent, of each operator between each two tables."""
    logs = np.array([[np.log(table[key]) for key in keys] for table in tables])
    return np.array([100 * np.abs(a - b) for a, b in itertools.combinations(logs, 2)]).ravel()


def against(tables: Sequence[Levels], others: Sequence[Levels], keys: Sequence[str]) -> np.ndarray:
    """In percent, of each operator between one table and one of the others."""
    pairs = itertools.product(tables, others)
    return np.array([100 * abs(np.log(a[key] / b[key])) for a, b in pairs for key in keys])


def figures(found: np.ndarray) -> tuple[float, float, float]:
    return float(np.median(found)), float(np.percentile(found, 95)), float(found.max())


def rows(bench: Bench, modes_ns: Mapping[str, float]) -> Iterator[tuple[object, ...]]:
    """One for each protocol, ours first."""
    ours = bench.rows[OURS]
    for name in sorted(bench.rows, key=lambda name: (name != OURS, name != CONTACT)):
        row = bench.rows[name]
        keys = list(row.tables[0])
        if name == CONTACT:
            median, p95, most = figures(against(row.tables, ours.tables, keys))
        else:
            median, p95, most = figures(differences(row.tables, keys))
        base = figures(differences(ours.tables, keys))
        bias = [100 * float(np.mean([np.log(table[key] / modes_ns[key]) for table in row.tables])) for key in keys]
        better = median > base[0] and p95 > base[1]
        yield (
            name,
            len(row.tables),
            len(keys),
            round(median, 3),
            round(p95, 3),
            round(most, 2),
            round(float(np.median(bias)), 3),
            round(float(np.percentile(np.abs(bias), 95)), 2),
            round(float(np.mean(row.held_s)) / len(keys), 4),
            *(
                (None, None, "")
                if name in (OURS, CONTACT)
                else (round(median / base[0], 2), round(p95 / base[1], 2), "yes" if better else "no")
            ),
        )


def state_of_machine(bench: Bench, modes_ns: Mapping[str, float]) -> Iterator[str]:
    """What the machine was like meanwhile, by the gate and without it."""
    runs = [run for tabled in bench.ours for run in bench.desk.runs(tabled)]
    ratios = [
        level / run.canary_reference_ns
        for run in runs
        if run.canary_reference_ns
        for piece in run.slices
        for level in (piece.canary_before_ns, piece.canary_after_ns)
    ]
    low, middle, high, highest = np.percentile(ratios, (10, 50, 90, 99))
    visits = Slicing().passes * len(runs)
    quiet = sum(piece.quiet for run in runs for piece in run.slices)
    yield (
        f"machine, by ours' slices: canary over its reference {low:.3f} / {middle:.3f} / {high:.3f} / {highest:.3f} "
        f"(p10 / p50 / p90 / p99); {100 * quiet / visits:.0f} % of the visits found a quiet window"
    )
    loud = np.concatenate([np.array(levels) / modes_ns[key] for key, levels in bench.slices.items()])
    yield (
        f"machine, by the long run of {bench.pieces} processes, {len(loud) // len(modes_ns)} slices an operator: "
        f"{100 * float(np.mean(loud <= QUIET)):.0f} % within {QUIET} of the lower mode, "
        f"p50 / p90 / p99 {' / '.join(f'{p:.2f}' for p in np.percentile(loud, (50, 90, 99)))}; "
        f"load {min(bench.loads):.1f} to {max(bench.loads):.1f}"
    )


def verdicts(report: Report, bench: Bench) -> Iterator[str]:
    """What was to be reached."""
    median, p95, held_s = (float(report.rows[0][index]) for index in (3, 4, 8))  # type: ignore[arg-type]
    for what, found, (least, more) in (("median", median, MEDIAN), ("p95", p95, P95), ("s an operator", held_s, HELD_S)):
        met = "yes, and the stretch" if found <= more else "yes" if found <= least else "no"
        yield f"ours, {what}: {found:.3g}; to reach {least:g}, stretch {more:g}: {met}"
    worse = [str(row[0]) for row in report.rows if row[-1] == "no"]
    yield f"ours better than each of the others, median and p95: {'no: ' + ', '.join(worse) if worse else 'yes'}"
    raised: Counter[str] = Counter()
    for tabled in bench.ours:
        raised.update(tabled.flags)
    yield (
        f"ours: {np.mean([t.rounds for t in bench.ours]):.2f} processes an entry; with what the host does in between "
        f"{np.mean([t.wall_s for t in bench.ours]) / len(bench.paths):.3f} s an operator; flags of all entries: "
        + ", ".join(f"{name} {count}" for name, count in raised.most_common())
    )


def main() -> None:
    """Print one row a protocol."""
    chosen = options(
        __doc__,
        ("--tables", {"type": int, "help": "repetitions (8; 3 with --quick)"}),
        ("--seed", {"type": int, "default": 1, "help": "of every order"}),
    )
    repetitions = chosen.tables or (3 if chosen.quick else 8)
    keys = spread_over(mix(), 10) if chosen.quick else mix()
    few = spread_over(keys, 2 if chosen.quick else 6)
    began_s = time.monotonic()
    with _device.scratch() as home, open_store(find_home(home / "known").path) as store:
        desk = register(home / "known", store)
        paths = dict(zip(keys, files(keys, home / "known"), strict=True))
        bench = Bench(desk, paths, _device.measured_cpu(os.sched_getaffinity(0)), random.Random(chosen.seed))
        say(began_s, f"{len(keys)} operators, {repetitions} tables by each protocol; first contact")
        bench.contact(home / "first")
        say(began_s, "the device gets a past")
        bench.warm(16.0 if chosen.quick else 64.0)
        for number in range(repetitions):
            say(began_s, f"repetition {number + 1} of {repetitions}")
            bench.repetition(number, few)
        say(began_s, "first contact once more")
        bench.contact(home / "again")
        modes_ns = {key: lower_mode_ns(levels) for key, levels in bench.slices.items()}
        took_s = time.monotonic() - began_s
        report = Report(
            f"difference between tables, {len(keys)} operators of {min(modes_ns.values()) / 1e3:.0f} us to "
            f"{max(modes_ns.values()) / 1e6:.1f} ms, one thread, onnxruntime",
            (
                "protocol",
                "tables",
                "operators",
                "median %",
                "p95 %",
                "max %",
                "bias %",
                "p95 of |bias| %",
                "s an operator",
                "x median",
                "x p95",
                "ours better",
            ),
        )
        report.rows += rows(bench, modes_ns)
        report.notes += [*verdicts(report, bench), *state_of_machine(bench, modes_ns), f"seed {chosen.seed}; {took_s:.0f} s"]
    report.show(chosen)


def say(began_s: float, what: str) -> None:
    """How far it is."""
    print(f"{time.monotonic() - began_s:5.0f} s: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
