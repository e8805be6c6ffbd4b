"""Wall time of `lutfarm demo` by stage.

Runs it in a folder of its own, or with --read FILE shows the timings.json that an earlier run left.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from _device import scratch
from _table import Report, options

BOX_MINUTES = 3.0
QUICK_MINUTES = 1.0
LIMITS_S = {"ray start": 10.0}


def timed(folder: Path, minutes: float) -> dict[str, float]:
    """Run the demonstration; what each stage took in seconds."""
    program = Path(sys.executable).with_name("lutfarm")
    command = [str(program), "demo", "--out", str(folder), "--minutes", str(minutes)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "140"})
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr[-4000:]}")
    return json.loads((folder / "timings.json").read_text())


def main() -> None:
    """Print one row a stage."""
    chosen = options(__doc__, ("--read", {"type": Path, "metavar": "FILE", "help": "show this timings.json"}))
    minutes = QUICK_MINUTES if chosen.quick else BOX_MINUTES
    if chosen.read:
        found = json.loads(chosen.read.read_text())
    else:
        with scratch() as folder:
            found = timed(folder / "demo-out", minutes)
    total_s = found.pop("total", sum(found.values()))
    limits = LIMITS_S if chosen.quick else {**LIMITS_S, "total": 60 * BOX_MINUTES}
    found["between the stages"] = max(0.0, total_s - sum(found.values()))
    report = Report("lutfarm demo, wall time", ("stage", "s", "share", "at most s", "met"))
    for stage, seconds in (*found.items(), ("total", total_s)):
        limit = limits.get(stage)
        met = "" if limit is None else "yes" if seconds <= limit else "no"
        report.rows.append((stage, round(seconds, 1), round(seconds / total_s, 3), limit, met))
    if chosen.quick:
        report.notes.append(f"told to take about {QUICK_MINUTES:.0f} minute: no figure for the demonstration as it is")
    report.show(chosen)


if __name__ == "__main__":
    main()
