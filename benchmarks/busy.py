"""What a busy machine does to numbers: real neighbours on this one, interleaved with quiet stretches, in one run.

Three kinds of workloads, each by a job of the farm with its default sampling: operators (one thread), FBNet networks, and
operators with two threads.  Beside them how others measure: the mean of 50 iterations, TVM's time_evaluator, TensorFlow
Lite's benchmark_model with as much time as ours took, 6 s at most.  Neighbours are processes pinned to a core, there for a share
of the time in turns of 0.12 s; `always`: without a pause, on both cores.  The device is known: its canary has a quiet past (short
jobs at the beginning and in every quiet stretch, put back by a day and more, as it can't be waited for here); what it says of
the slices is asked at the end, as the farm does when a table is read.

Truth: in quiet stretches between any two conditions, short slices of everything in fresh processes that no gate chose; the
lower mode of their levels.  `itself`: the quiet processes' own lower quartiles against it, which is what this machine can
reach.  `calm %`: the share of such slices, beside the neighbours of a row, that lie within 5 % of the truth: where it is 0
there was no quiet window.

An entry is *flagged* where it has another flag than `converged` and `not_precise`; `unflagged` is all that a reader would rely
on.  `within` and `covered` are of the unflagged: the estimate within 3 % of the truth, the truth within the interval; `covered
all` of all entries.  Of the others every number counts as unflagged, as they say nothing.

At the end an FBNet table that was measured quietly is validated on the same networks twice: alone, and beside neighbours.
"""

from __future__ import annotations

import os
import random
import sqlite3
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import _device
import numpy as np
from _beside import Neighbours, beside
from _levels import lower_mode_ns
from _rivals import Rivals
from _table import Report, options
from _tables import BACKEND, Desk, Tabled, files, mix, register, spread_over
from _validated import HARMLESS, SPACE, validation

from lutfarm.home import find_home
from lutfarm.results.job_table import table_of
from lutfarm.store import open_store
from lutfarm_jobs import models, spaces
from lutfarm_jobs.measurement import Workload

OURS = "ours"
QUIET, WORST, ALWAYS = "quiet", "compute 90 %, both cores", "always, both cores"
NEAR, CALM = 0.03, 1.05
TOOL_S = 6.0
STRETCH_S, STRETCHES = 2.0, 3  # a quiet stretch, for each kind: so many processes of so long
PAST_JOBS, PAST_S = 4, 86_400.0
WITHIN, COVERED = 95.0, 90.0  # to reach


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of workloads: the job that measures them, without its name, and how others do."""

    name: str
    job: Mapping[str, object]
    rivals: Rivals


@dataclass(frozen=True, slots=True)
class Said:
    """What a protocol said of one workload."""

    estimate: float
    low: float | None = None
    high: float | None = None
    flags: frozenset[str] = frozenset()

    @property
    def flagged(self) -> bool:
        return bool(self.flags - HARMLESS)


@dataclass(frozen=True, slots=True)
class Judged:
    """The same against the truth."""

    ratio: float
    flagged: bool
    covered: bool | None  # None: no interval was given

    @property
    def near(self) -> bool:
        return abs(self.ratio - 1) <= NEAR


Cell = tuple[str, str, str]  # condition, kind, protocol


@dataclass(slots=True)
class Bench:
    """What all steps share."""

    desk: Desk
    kinds: Sequence[Kind]
    order: random.Random
    said: defaultdict[Cell, list[tuple[str, Said]]] = field(default_factory=lambda: defaultdict(list))
    took_s: defaultdict[Cell, float] = field(default_factory=lambda: defaultdict(float))
    jobs_of: dict[Cell, str] = field(default_factory=dict)
    quiet: defaultdict[tuple[str, str], list[list[float]]] = field(default_factory=lambda: defaultdict(list))
    loud: defaultdict[Cell, list[float]] = field(default_factory=lambda: defaultdict(list))
    jobs: int = 0

    def stretch(self, *kinds: Kind) -> None:
        """Quiet slices, of these kinds or all."""
        for kind in (kind for _ in range(STRETCHES) for kind in kinds or self.kinds):
            for name, levels in kind.rivals.slices_ns(STRETCH_S).items():
                self.quiet[kind.name, name].append(levels)

    def job(self, kind: Kind, **sampling: object) -> Tabled:
        """Measures a kind once more."""
        self.jobs += 1
        return self.desk.play({"name": f"busy-{self.jobs}", **kind.job, **({"sampling": sampling} if sampling else {})})

    def past(self, home: Path, kind: Kind, rounds: int) -> None:
        """A short quiet job, whose canary's rounds are put back in time."""
        began_s = time.time()
        self.job(kind, rounds=rounds, stop="rounds", passes=2)
        with sqlite3.connect(find_home(home).path / "farm.db") as db:
            for (round_id,) in db.execute("SELECT round_id FROM canary_rounds WHERE at_s >= ?", (began_s,)).fetchall():
                back_s = PAST_S * (1 + self.order.random())
                db.execute("UPDATE canary_rounds SET at_s = at_s - ? WHERE round_id = ?", (back_s, round_id))

    def read(self) -> None:
        """The tables of all conditions, by what is known of the canary at the end."""
        for cell, job_id in self.jobs_of.items():
            by_key = {m.key: m.workload.name for m in self.desk.store.measurements(job_id)}
            self.said[cell] = [
                (by_key[entry.key], Said(float(entry.estimate or 0), entry.low, entry.high, frozenset(entry.flags)))
                for entry in table_of(self.desk.store, job_id).entries
                if entry.key in by_key
            ]

    def condition(self, home: Path, name: str, neighbours: Neighbours | None) -> None:
        """Everything by every protocol, beside these neighbours."""
        for kind in self.kinds:
            self.stretch(kind)  # the truth needs as many moments as there are, and so does the past
            self.past(home, kind, 1)
            with beside(neighbours, seed=self.order.randrange(2**16)):
                ours = self.job(kind)
                took_s = ours.wall_s
                self.jobs_of[name, kind.name, OURS] = ours.job_id
                self.note((name, kind.name, OURS), {}, took_s)
                for protocol, wanted, more in (
                    ("mean of 50", "iterations", {"count": 50}),
                    ("TVM time_evaluator", "tvm", {}),
                    ("benchmark_model", "benchmark_model", {"until_s": time.monotonic() + min(took_s, TOOL_S)}),
                ):
                    means_ns, spent_s = kind.rivals.means_ns(wanted, **more)
                    self.note((name, kind.name, protocol), {key: Said(ns) for key, ns in means_ns.items()}, spent_s)
                for key, levels in kind.rivals.slices_ns(1.0).items():
                    self.loud[name, kind.name, key] += levels

    def note(self, cell: Cell, found: Mapping[str, Said], took_s: float) -> None:
        self.said[cell] += found.items()
        self.took_s[cell] += took_s

    def truth_ns(self, kind: str, name: str) -> float:
        return lower_mode_ns([level for levels in self.quiet[kind, name] for level in levels])

    def itself(self, kind: str) -> list[float]:
        """What quiet processes, each by its lower quartile, say over the truth."""
        return [
            float(np.percentile(levels, 25)) / self.truth_ns(kind, name)
            for (where, name), processes in self.quiet.items()
            if where == kind
            for levels in processes
        ]

    def judged(self, kind: str, protocol: str, where: Collection[str]) -> list[Judged]:
        """What a protocol said in some conditions."""
        found: list[Judged] = []
        for condition in where:
            for name, one in self.said[condition, kind, protocol]:
                true_ns = self.truth_ns(kind, name)
                covered = None if one.low is None or one.high is None else one.low <= true_ns <= one.high
                found.append(Judged(one.estimate / true_ns, one.flagged, covered))
        return found

    @property
    def places(self) -> list[str]:
        """The conditions in which something was measured, quiet first."""
        return sorted(dict.fromkeys(cell[0] for cell in self.said), key=lambda name: name != QUIET)

    def calm(self, condition: str, kind: str) -> float:
        """The share of the slices beside these neighbours that were as in quiet, in percent."""
        ratios = np.concatenate(
            [
                np.array(levels) / self.truth_ns(kind, name)
                for (where, which, name), levels in self.loud.items()
                if (where, which) == (condition, kind)
            ]
        )
        return 100 * float(np.mean(ratios <= CALM))


def kinds(home: Path, order: random.Random, *, quick: bool) -> list[Kind]:
    """The workloads, their model files built."""
    everywhere = sorted(os.sched_getaffinity(0))
    one = [_device.measured_cpu(set(everywhere))]
    cache, space = find_home(home).models, spaces.load(SPACE)
    small, large = spread_over(mix(), 6 if quick else 10), spread_over(mix()[20:], 3 if quick else 5)
    archs = [space.format(arch) for arch in space.random(7, 5)]
    names = [f"{SPACE}:{arch}" for arch in archs]
    networks = {name: models.build(Workload("network", name), "onnx", cache).path for name in names}

    def operators(keys: Sequence[str], threads: int) -> dict[str, object]:
        return {"workloads": [{"operators": list(keys)}], "backends": [{"runtime": BACKEND, "threads": threads}]}

    def rivals(keys: Sequence[str], cpus: Sequence[int]) -> Rivals:
        return Rivals(dict(zip(keys, files(keys, home), strict=True)), cpus, order)

    return [
        Kind("operators", operators(small, 1), rivals(small, one)),
        Kind(
            "networks",
            {"workloads": [{"space": SPACE, "operators": "none", "archs": archs}], "backends": [{"runtime": BACKEND}]},
            Rivals(networks, one, order),
        ),
        Kind("two threads", operators(large, 2), rivals(large, everywhere[-2:])),
    ]


def conditions(*, quick: bool) -> dict[str, Neighbours | None]:
    """By name; the first one is quiet."""
    cpus = sorted(os.sched_getaffinity(0))
    one, both = (cpus[0],), (cpus[0], cpus[-1])
    found: dict[str, Neighbours | None] = {
        QUIET: None,
        "compute 50 %, one core": Neighbours(("compute",), one, 0.5),
        "memory 90 %, one core": Neighbours(("memory",), one, 0.9),
        WORST: Neighbours(("compute",), both, 0.9),
        ALWAYS: Neighbours(("memory", "compute"), both, 1.0),
    }
    return {name: found[name] for name in (QUIET, WORST)} if quick else found


def give_past(home: Path, bench: Bench) -> None:
    """Short quiet jobs, so that the first condition has a past, too."""
    for _ in range(PAST_JOBS):
        for kind in bench.kinds:
            bench.past(home, kind, 4)
    bench.stretch()


def rows(bench: Bench) -> Iterator[tuple[object, ...]]:
    """Ours by condition and kind; then everybody over all conditions but the quiet one."""
    for condition in bench.places:
        for kind in bench.kinds:
            yield row(bench, kind.name, OURS, [condition])
    for kind in bench.kinds:
        for protocol in dict.fromkeys(cell[2] for cell in bench.said):
            yield row(bench, kind.name, protocol, bench.places[1:])


def row(bench: Bench, kind: str, protocol: str, where: Sequence[str]) -> tuple[object, ...]:
    """One row of the report; in percent."""
    judged = bench.judged(kind, protocol, where)
    relied = [one for one in judged if not one.flagged]
    biases = [100 * (one.ratio - 1) for one in relied]
    seconds = sum(bench.took_s[condition, kind, protocol] for condition in where) / len(judged)
    return (
        where[0] if len(where) == 1 else "all but quiet",
        kind,
        protocol,
        len(judged),
        round(float(np.mean([bench.calm(condition, kind) for condition in where]))),
        round(100 * (1 - len(relied) / len(judged))),
        round(100 * (float(np.median([one.ratio for one in judged])) - 1), 2),
        round(float(np.median(biases)), 2) if biases else None,
        round(float(np.percentile(np.abs(biases), 95)), 2) if biases else None,
        percent([one.near for one in relied]),
        percent([one.covered for one in relied]),
        percent([one.covered for one in judged]),
        round(seconds, 2),
    )


def percent(these: Sequence[bool | None]) -> float | None:
    """Of those that are known."""
    known = [one for one in these if one is not None]
    return round(100 * sum(known) / len(known), 1) if known else None


def verdicts(bench: Bench) -> Iterator[str]:
    """What was to be reached, and the flags."""
    for kind in (kind.name for kind in bench.kinds):
        relied = [one for one in bench.judged(kind, OURS, bench.places[1:]) if not one.flagged]
        near, over = percent([one.near for one in relied]), percent([one.covered for one in relied])
        met = not relied or ((near or 0) >= WITHIN and (over or 0) >= COVERED)
        yield (
            f"{kind}, beside neighbours, unflagged: {len(relied)}, {near} % within 3 %, {over} % covered; to reach "
            f"{WITHIN:g} and {COVERED:g}: {'yes' if met else 'no'}"
        )
        for condition in bench.places[1:]:
            if bench.calm(condition, kind) == 0:
                flagged = percent([one.flagged for one in bench.judged(kind, OURS, [condition])])
                yield f"no quiet window, {condition}, {kind}: {flagged} % flagged; to reach 100"
        quiet = bench.itself(kind)
        low, high = (100 * (float(np.percentile(quiet, share)) - 1) for share in (5, 95))
        yield (
            f"{kind}, this machine itself, {len(quiet)} quiet processes: {percent([abs(one - 1) <= NEAR for one in quiet])} % "
            f"within 3 %, from {low:+.1f} to {high:+.1f} % (5th and 95th percentile)"
        )
    for condition in bench.places:
        raised = Counter(
            flag
            for (where, _, protocol), found in bench.said.items()
            if (where, protocol) == (condition, OURS)
            for _, one in found
            for flag in one.flags
        )
        yield f"flags, {condition}: " + ", ".join(f"{flag} {count}" for flag, count in raised.most_common())


def main() -> None:
    """Print one row a condition and kind, then the others."""
    chosen = options(__doc__, ("--seed", {"type": int, "default": 5, "help": "of every order"}))
    order, began_s = random.Random(chosen.seed), time.monotonic()
    wanted = conditions(quick=chosen.quick)
    report = Report(
        "estimates beside real neighbours, against the quiet truth",
        (
            "neighbours",
            "kind",
            "protocol",
            "n",
            "calm %",
            "flagged %",
            "bias %",
            "unflagged: bias %",
            "p95 of |bias| %",
            "within 3 %",
            "covered %",
            "covered all %",
            "s each",
        ),
    )
    with _device.scratch() as folder:
        home = folder / "known"
        with open_store(find_home(home).path) as store:
            bench = Bench(register(home, store), kinds(home, order, quick=chosen.quick), order)
            say(began_s, "the device gets a past")
            give_past(home, bench)
            for name in order.sample(list(wanted), len(wanted)):
                bench.stretch()
                say(began_s, name)
                bench.condition(home, name, wanted[name])
            bench.stretch()
            bench.read()
        report.rows += rows(bench)
        report.notes += verdicts(bench)
        say(began_s, "validation")
        report.notes += validation(home, folder, wanted[WORST], seed=chosen.seed, quick=chosen.quick)
    report.notes.append(f"seed {chosen.seed}; {time.monotonic() - began_s:.0f} s")
    report.show(chosen)


def say(began_s: float, what: str) -> None:
    """How far it is."""
    print(f"{time.monotonic() - began_s:5.0f} s: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
