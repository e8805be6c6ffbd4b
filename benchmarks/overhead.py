"""Observed latency through the farm against a stand-alone script of 30 lines, in alternating processes.

Both time the same model files with the same input, on the same pinned core, with one thread that does not
spin, the same number of iterations in shuffled passes, the same dropped warm-up, and the same statistic: the
10th percentile of a process's iterations, as without a gate a higher one is the machine's, not the operator's.
The farm's gate is open in the compared round, since the script has none; the round is otherwise the real one,
with supervisor, canary and streaming.  The last column is the same round with its gate in force.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import _device
from _device import Convolution
from _table import Report, median_interval, options

from lutfarm_agents.runner_agent import DeviceAgent
from lutfarm_jobs.round import Slicing, Task
from lutfarm_jobs.run import Run

SCRIPT = Path(__file__).with_name("_standalone.py")
FLOOR = Convolution(1, 1, 1)
OPERATORS = (
    FLOOR,
    Convolution(16, 14, 1),
    Convolution(32, 14, 3),
    Convolution(64, 28, 1),
    Convolution(32, 28, 3),
    Convolution(64, 28, 3),
    Convolution(64, 56, 3),
)
GATED = Slicing(passes=20)
OPEN = replace(GATED, gate_ratio=1000.0, wait_ns=0)
CLAIMED_FROM_NS = 50_000


def p10(samples: Iterable[int]) -> int:
    """As the script computes it."""
    ranked = sorted(samples)
    return ranked[len(ranked) // 10]


def script(tasks: Sequence[Task], counts: Sequence[int], places: Sequence[Path], *, cpu: int, seed: int) -> list[int]:
    """One process of the script: p10 of each model in nanoseconds."""
    models = [f"{place}={count}" for place, count in zip(places, counts, strict=True)]
    command = [sys.executable, "-I", str(SCRIPT), str(cpu), str(OPEN.passes), str(seed), *models]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert len(found) == len(tasks)
    return found


def farm(runs: dict[str, Run], tasks: Sequence[Task], *, quiet_only: bool) -> list[int | None]:
    """p10 of each measurement of one round; None where no slice is left."""
    found: list[int | None] = []
    for task in tasks:
        slices = [s for s in runs[task.measurement.key].slices if s.quiet or not quiet_only]
        found.append(p10(ns for s in slices for ns in s.samples_ns) if slices else None)
    return found


def compare(agent: DeviceAgent, home: Path, pairs: int) -> list[tuple[list, list, list]]:
    """Script, open round and gated round, in turns; who goes first changes from pair to pair."""
    cache = home / "models"
    tasks, paths = _device.tasks(OPERATORS, "onnxruntime", cache)
    tasks, _ = _device.probed(agent, tasks, paths)
    places = [paths[task.artifact.sha256] for task in tasks]
    counts = [max(1, OPEN.slice_ns // (task.iteration_ns or 1)) for task in tasks]
    # The last core that this process could use before it kept off it.
    cpu = max(agent.hello().cpus)
    results: list[tuple[list, list, list]] = []
    for index in range(pairs):
        by_script: list = []
        by_farm: list = []
        for who in ("script", "farm") if index % 2 else ("farm", "script"):
            if who == "script":
                by_script = script(tasks, counts, places, cpu=cpu, seed=index)
            else:
                runs = _device.measured(agent, tasks, paths, cache, slicing=OPEN, index=index)
                by_farm = farm(runs, tasks, quiet_only=False)
        runs = _device.measured(agent, tasks, paths, cache, slicing=GATED, index=index)
        gated = farm(runs, tasks, quiet_only=True)
        results.append((by_script, by_farm, gated))
    return results


def main() -> None:
    """Print one row an operator."""
    chosen = options(__doc__, ("--pairs", {"type": int, "help": "processes of each kind (40; 12 with --quick)"}))
    pairs = chosen.pairs or (12 if chosen.quick else 40)
    with _device.scratch() as home, _device.opened(home) as agent:
        results = compare(agent, home, pairs)
    report = Report(
        f"farm against a stand-alone script, {pairs} alternating pairs of processes",
        ("operator", "script us", "farm us", "farm / script", "low", "high", "within 0.98-1.02", "gated / script"),
    )
    for position, operator in enumerate(OPERATORS):
        by_script = [result[0][position] for result in results]
        by_farm = [result[1][position] for result in results]
        gated = [g / s for s, _, g in ((r[0][position], 0, r[2][position]) for r in results) if g]
        ratio, low, high = median_interval([f / s for s, f in zip(by_script, by_farm, strict=True)])
        level_ns = median_interval(by_script)[0]
        claimed = level_ns >= CLAIMED_FROM_NS
        report.rows.append(
            (
                "empty call path" if operator is FLOOR else operator.name,
                round(level_ns / 1e3, 2),
                round(median_interval(by_farm)[0] / 1e3, 2),
                round(ratio, 4),
                round(low, 4),
                round(high, 4),
                ("yes" if low >= 0.98 and high <= 1.02 else "no") if claimed else "below 50 us",
                round(median_interval(gated)[0], 4) if gated else None,
            )
        )
    script_floor, farm_floor = report.rows[0][1:3]
    report.notes.append(f"call-path floor: {script_floor} us in the script, {farm_floor} us in the farm")
    report.notes.append("interval: order statistics, at least 95 %, of the median of per-pair ratios")
    report.show(chosen)


if __name__ == "__main__":
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    main()
