"""Processor time until lutfarm answers, each in a fresh process, beside that of a Python that does nothing."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from _device import scratch
from _table import Report, median_interval, options

COMMAND = str(Path(sys.executable).with_name("lutfarm"))
BARE = "python -c pass"
WORDS = ("--help", "--version", "device --help", "run --help", "lut --help", "lut export --help", "device list", "status")
DONE = "lutfarm run, all of it stored"
JOB = """
name: again
workloads: [{space: fbnet-224}]
devices: [this-machine]
backends: [{runtime: onnxruntime}]
sampling: {rounds: 4}
"""
LINES: dict[str, list[str]] = {
    BARE: [sys.executable, "-c", "pass"],
    "python -c 'import lutfarm'": [sys.executable, "-c", "import lutfarm"],
    "python -c 'import typer, rich.console'": [sys.executable, "-c", "import typer, rich.console"],
    **{f"lutfarm {words}": [COMMAND, *words.split()] for words in WORDS},
}


def main() -> None:
    """Print one row a command line."""
    chosen = options(__doc__)
    times = 7 if chosen.quick else 25
    with scratch() as home:
        own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}  # as at a user's
        own["LUTFARM_HOME"] = str(home)
        lines = LINES | {DONE: [COMMAND, "run", _measured(home, own)]}
        spent_s: dict[str, list[float]] = {name: [] for name in lines}
        for _ in range(times):
            for name in random.sample(list(lines), len(lines)):
                spent_s[name].append(_spent_s(lines[name], own))
    report = Report(
        f"processor time of a command line, {times} fresh processes each, in a random order",
        ("command", "median s", "x", "low", "high"),
    )
    for name, spent in spent_s.items():
        ratios = [one / bare for one, bare in zip(spent, spent_s[BARE], strict=True)]
        report.rows.append((name, round(median_interval(spent)[0], 3), *(round(value, 1) for value in median_interval(ratios))))
    report.notes.append("x: the median ratio to a Python that does nothing, of the same turn, and its interval (at least 95 %)")
    report.show(chosen)


def _measured(home: Path, environment: dict[str, str]) -> str:
    """The file of a job of 106 operators of which nothing is left."""
    job = home / "job.yaml"
    job.write_text(JOB)
    _spent_s([COMMAND, "device", "register", "this-machine", "--local"], environment)
    _spent_s([COMMAND, "run", str(job), "--executor", "local"], environment)
    return str(job)


def _spent_s(command: list[str], environment: dict[str, str]) -> float:
    """User and system time of a process and its children."""
    before = getrusage(RUSAGE_CHILDREN)
    subprocess.run(command, env=environment, capture_output=True, check=True)
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
