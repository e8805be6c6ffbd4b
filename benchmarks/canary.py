"""Does the canary show that another program slows a slice?  With real neighbours on this machine, that come and go.

Rounds of the farm's own runner with the gate open, so that every slice is kept with its canary before and after, beside a
neighbour process: none, one that computes in the first-level cache, one that copies large arrays; on another core and on the
measured one.  A slice is *slowed* where its wall time an iteration is more than 1.15 times the workload's own quiet level: the
lower mode over the rounds of this run without a neighbour.  AUC: the probability that a slowed slice has a higher score than
one that is not, ties counting half (Mann and Whitney).  The score is the higher canary of the two; `as the gate` puts a slice
with an involuntary context switch above all others, as the gate does; `no switch` leaves these out and goes by the slice's
median iteration, as a single long one moves no estimate: what the canary is there for.  `caught`: of the slowed slices those
that the gate turns away; `lost`: of the others.

--wide measures the same again with another canary: a 1x1 convolution, 16 to 16 channels on 128x128, of about as many
multiply-accumulates, whose 2 MB do not fit into a second-level cache.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import _device
import numpy as np
from _beside import Neighbours, Work, beside
from _levels import lower_mode_ns
from _table import Report, options
from _tables import mix, spread_over
from scipy.stats import mannwhitneyu

from lutfarm_agents.runner_agent import DeviceAgent
from lutfarm_jobs import models
from lutfarm_jobs.graphs.graph import Graph
from lutfarm_jobs.measurement import Backend, Measurement, Workload
from lutfarm_jobs.round import Slicing, Task
from lutfarm_jobs.run import Run, Slice
from lutfarm_jobs.runtimes import model_format

RUNTIMES: tuple[str, ...] = ("onnxruntime", "tflite")
NONE, WORKS, CORES = "none", ("compute", "memory"), ("other core", "same core")
KINDS = (NONE, *(f"{work}, {core}" for core in CORES for work in WORKS))
SLOWED, TARGET = 1.15, 0.85
LEAST = 20  # slices of either label: with fewer an AUC says nothing
PASSES = 30
GATE = Slicing()


def wide() -> Graph:
    """See --wide."""
    graph = Graph("wide", (1, 16, 128, 128))
    return graph.finish(graph.convolution(graph.input, 16, kernel=1, activation="relu"))


@dataclass(frozen=True, slots=True)
class Seen:
    """One slice: wall time an iteration, median iteration and canary over their quiet levels."""

    level: float
    middle: float
    canary: float
    switched: bool

    @property
    def slowed(self) -> bool:
        return self.level > SLOWED

    @property
    def score(self) -> float:
        """As the gate ranks it."""
        return np.inf if self.switched else self.canary

    @property
    def turned_away(self) -> bool:
        return self.switched or self.canary > GATE.gate_ratio


def neighbours(kind: str, cpus: Sequence[int]) -> Neighbours | None:
    """What `kind` stands for; None: nothing."""
    if kind == NONE:
        return None
    work, _, core = kind.partition(", ")
    return Neighbours((cast(Work, work),), (_device.measured_cpu(set(cpus)) if core == "same core" else min(cpus),), 0.5)


def tasks(keys: Sequence[str], runtime: str, cache: Path) -> tuple[list[Task], dict[str, Path]]:
    """A task for each operator, and where the files lie."""
    made, paths = [], {}
    for key in keys:
        workload = Workload("operator", key)
        built = models.build(workload, model_format(runtime), cache)
        measurement = Measurement(workload, _device.UNIT, Backend(runtime))
        made.append(Task(measurement, built.artifact, built.inputs, input_layout=built.input_layout))
        paths[built.artifact.sha256] = built.path
    return made, paths


def rounds(
    agent: DeviceAgent,
    runtime: str,
    keys: Sequence[str],
    home: Path,
    *,
    each: int,
    order: random.Random,
    canaries: Mapping[str, Graph | None],
) -> dict[tuple[str, str], list[Run]]:
    """By canary and kind of neighbour: the runs of `each` rounds, in a random order every time."""
    cpus = agent.hello().cpus
    cache = home / "models"
    wanted, paths = tasks(keys, runtime, cache)
    wanted, _ = _device.probed(agent, wanted, paths)
    plan = replace(GATE, passes=PASSES, gate_ratio=1000.0, wait_ns=0, contended_keep=PASSES)
    found: dict[tuple[str, str], list[Run]] = {(name, kind): [] for name in canaries for kind in KINDS}
    for index in range(each):
        for name, kind in order.sample(list(found), len(found)):
            print(f"{runtime}, round {index + 1} of {each}: {name}, {kind}", file=sys.stderr, flush=True)
            with beside(neighbours(kind, cpus), seed=order.randrange(2**32)):
                found[name, kind] += _device.measured(
                    agent, wanted, paths, cache, slicing=plan, index=index, canary_graph=canaries[name]
                ).values()
    return found


def level_ns(piece: Slice) -> float:
    return piece.wall_ns / len(piece.samples_ns)


def middle_ns(piece: Slice) -> float:
    return statistics.median(piece.samples_ns)


def canary_ns(piece: Slice) -> int:
    return max(piece.canary_before_ns, piece.canary_after_ns)


def seen(found: dict[str, list[Run]]) -> dict[str, list[Seen]]:
    """Every slice by kind of neighbour, over what the rounds without one say is quiet."""
    alone = found[NONE]

    def quiet_ns(level: Callable[[Slice], float]) -> dict[str, float]:
        keys = {run.key for run in alone}
        return {key: lower_mode_ns([level(piece) for run in alone if run.key == key for piece in run.slices]) for key in keys}

    levels_ns, middles_ns = quiet_ns(level_ns), quiet_ns(middle_ns)
    reference_ns = lower_mode_ns([piece.canary_before_ns for run in alone for piece in run.slices])
    return {
        kind: [
            Seen(
                level_ns(piece) / levels_ns[run.key],
                middle_ns(piece) / middles_ns[run.key],
                canary_ns(piece) / reference_ns,
                piece.involuntary_switches > 0,
            )
            for run in runs
            for piece in run.slices
        ]
        for kind, runs in found.items()
    }


def auc(slowed: Sequence[float], others: Sequence[float]) -> float | None:
    """From the scores of either label; None where there are too few of one."""
    if min(len(slowed), len(others)) < LEAST:
        return None
    return float(mannwhitneyu(slowed, others).statistic) / len(slowed) / len(others)


def row(runtime: str, name: str, kind: str, slices: Sequence[Seen]) -> tuple[object, ...]:
    """One row of the report."""
    slowed = [one for one in slices if one.slowed]
    others = [one for one in slices if not one.slowed]

    def turned_away(some: Sequence[Seen]) -> float | None:
        return round(sum(one.turned_away for one in some) / len(some), 3) if some else None

    undisturbed = [one for one in slices if not one.switched]
    plain = auc([one.canary for one in slowed], [one.canary for one in others])
    alone = auc(
        [one.canary for one in undisturbed if one.middle > SLOWED], [one.canary for one in undisturbed if one.middle <= SLOWED]
    )
    found = auc([one.score for one in slowed], [one.score for one in others])
    return (
        runtime,
        name,
        kind,
        len(slices),
        round(100 * len(slowed) / len(slices), 1),
        *(round(float(np.percentile([getattr(one, what) for one in slices], 90)), 2) for what in ("level", "canary")),
        *(None if one is None else round(one, 3) for one in (plain, alone, found)),
        "too few" if found is None else "yes" if found >= TARGET else "no",
        turned_away(slowed),
        turned_away(others),
    )


def main() -> None:
    """Print one row a runtime and kind of neighbour."""
    chosen = options(
        __doc__,
        ("--rounds", {"type": int, "help": "of each kind of neighbour (6; 2 with --quick)"}),
        ("--wide", {"action": "store_true", "help": "with another canary too"}),
        ("--seed", {"type": int, "default": 3, "help": "of every order"}),
    )
    each = chosen.rounds or (2 if chosen.quick else 6)
    canaries: dict[str, Graph | None] = {"the farm's": None} | ({"wide": wide()} if chosen.wide else {})
    keys = spread_over(mix(), 10)
    report = Report(
        f"slices slowed by more than 15 %, as the canary shows it; {len(keys)} operators, {each} rounds of {PASSES} passes",
        (
            "runtime",
            "canary",
            "neighbour",
            "slices",
            "slowed %",
            "level p90",
            "canary p90",
            "AUC",
            "no switch",
            "as the gate",
            f"at least {TARGET}",
            "caught",
            "lost",
        ),
    )
    with _device.scratch() as home, _device.opened(home) as agent:
        for runtime in RUNTIMES:
            order = random.Random(chosen.seed)
            found = rounds(agent, runtime, keys, home, each=each, order=order, canaries=canaries)
            for name in canaries:
                by_kind = seen({kind: runs for (its, kind), runs in found.items() if its == name})
                report.rows += [row(runtime, name, kind, slices) for kind, slices in by_kind.items()]
                beside = [one for kind, slices in by_kind.items() if kind != NONE for one in slices]
                report.rows.append(row(runtime, name, "any of them", beside))
    report.notes.append(f"load {os.getloadavg()[0]:.1f} at the end; seed {chosen.seed}")
    report.show(chosen)


if __name__ == "__main__":
    main()
