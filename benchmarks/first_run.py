"""From `lutfarm device register` to the first stored run, on a device that was prepared before, over ADB and over SSH."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from _device import scratch
from _table import Report, median_interval, options

sys.path.insert(0, str(Path(__file__).parents[1]))  # the rig is part of the tests

MOST_S = 5.0
JOB = """
name: first-{number}
workloads:
  - operators: [conv_H28_W28_Cin16_Cout32_k1_s1_g1_relu]
devices: [{name}]
backends: [{{runtime: onnxruntime}}]
sampling: {{rounds: 1, passes: 4}}
fresh: true
"""


def main() -> None:
    """Print one row a link."""
    chosen = options(__doc__)
    times = 3 if chosen.quick else 10
    from tests.rig.board import Board, make_key
    from tests.rig.machine import Machine, pythons
    from tests.rig.phone import Phone

    report = Report(
        f"Register, then the first stored run, {times} times; two processes of lutfarm, run with --executor local",
        ("link", "register s", "run s", "both, median s", "least s", "most s"),
    )
    pushed: dict[str, int] = {}
    with scratch() as folder:
        key = make_key(folder / "id")
        unknown = {"ro.product.model": "bench"}
        with Phone("bench", properties=unknown, bind=pythons()) as phone, Board("bench", keys=[key]) as board:
            links: dict[str, tuple[Machine, list[str], str]] = {
                "adb": (phone, ["--adb", phone.address], "/data/local/tmp/lutfarm"),
                "ssh": (board, ["--ssh", f"root@{board.link.address}", "--key", str(folder / "id")], "/home/board/.lutfarm"),
            }
            for link, (machine, words, root) in links.items():
                found: list[tuple[float, float]] = []
                before: dict[Path, int] = {}
                for number in range(times + 1):
                    found.append(once(folder, link, words, number))
                    files = {p: p.stat().st_mtime_ns for p in machine.path(root).rglob("*") if p.suffix in (".pyz", ".onnx")}
                    if number == 0:
                        before = files
                pushed[link] = sum(before.get(path) != at for path, at in files.items())
                both = [register + run for register, run in found[1:]]
                registers, runs = ([pair[side] for pair in found[1:]] for side in (0, 1))
                report.rows.append(
                    (
                        link,
                        *(
                            round(v, 2)
                            for v in (
                                median_interval(registers)[0],
                                median_interval(runs)[0],
                                median_interval(both)[0],
                                min(both),
                                max(both),
                            )
                        ),
                    )
                )
    fast = all(row[3] <= MOST_S for row in report.rows)
    report.notes.append(f"at most {MOST_S:.0f} s: {'yes' if fast else 'no'}")
    report.notes.append(f"files pushed again after the first time: {pushed}")
    report.show(chosen)
    if any(pushed.values()):
        sys.exit(1)


def once(folder: Path, name: str, words: list[str], number: int) -> tuple[float, float]:
    """Seconds for each of the two commands."""
    job = folder / "job.yaml"
    job.write_text(JOB.format(number=number, name=name))
    lutfarm = str(Path(sys.executable).with_name("lutfarm"))
    commands = [
        [lutfarm, "device", "register", name, *words, "--python", sys.executable],
        [lutfarm, "run", str(job), "--executor", "local"],
    ]
    took: list[float] = []
    for command in commands:
        began = time.perf_counter()
        subprocess.run(command, env={**os.environ, "LUTFARM_HOME": str(folder / "home")}, check=True, capture_output=True)
        took.append(time.perf_counter() - began)
    return took[0], took[1]


if __name__ == "__main__":
    main()
