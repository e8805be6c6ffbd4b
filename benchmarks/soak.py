"""A served farm that measures one small job after the other while somebody listens and makes tables: what of it grows.

Memory, open files, threads and connections of the server and of its dispatcher, and the bytes that its folders keep beside the
store, as they were in the second quarter and in the last one: the first is for warming up.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from _device import scratch
from _table import Report, options
from crash import LUTFARM, OPERATORS, Served, over, until

LOOKS_S = 2.0
MB = 1 << 20


@dataclass(slots=True)
class Seen:
    """Of one process, in the order of time."""

    memory_mb: list[float] = field(default_factory=list[float])
    files: list[float] = field(default_factory=list[float])
    threads: list[float] = field(default_factory=list[float])
    connections: list[float] = field(default_factory=list[float])

    def look(self, process: psutil.Process) -> None:
        """Once more."""
        with process.oneshot():
            self.memory_mb.append(process.memory_info().rss / MB)
            self.files.append(process.num_fds())
            self.threads.append(process.num_threads())
            self.connections.append(len(process.net_connections("all")))


def small_job(number: int) -> str:
    """Measured anew."""
    return (
        f"name: soak-{number}\nworkloads: [{{operators: [{', '.join(OPERATORS)}]}}]\ndevices: [desk]\nfresh: true\n"
        "backends: [{runtime: onnxruntime}]\nsampling: {rounds: 2, passes: 2, stop: rounds}\n"
    )


def kept_bytes(home: Path) -> int:
    """In files of the home that are not the store's own."""
    files = [path for path in home.rglob("*") if path.is_file() and not path.name.startswith("farm.db")]
    return sum(path.stat().st_size for path in files)


def played(served: Served, home: Path, seconds: float) -> tuple[dict[str, Seen], list[float], int]:
    """What was seen of the processes by name, of the home's files in bytes, and how many jobs were over."""
    seen = {"server": Seen(), "dispatcher": Seen()}
    sizes: list[float] = []
    number, end_s, looked_s = 0, time.monotonic() + seconds, 0.0
    while time.monotonic() < end_s:
        number += 1
        answer = served.api.post("/api/v1/jobs", json={"job": small_job(number)})
        answer.raise_for_status()
        job_id = answer.json()["id"]
        with served.api.stream("GET", f"/api/v1/jobs/{job_id}/events") as events:
            for _ in events.iter_lines():
                if time.monotonic() - looked_s < LOOKS_S:
                    continue
                looked_s = time.monotonic()
                dispatcher = served.dispatcher()
                assert served.process is not None
                if dispatcher is not None:
                    seen["server"].look(psutil.Process(served.process.pid))
                    seen["dispatcher"].look(dispatcher)
                    sizes.append(kept_bytes(home))
        until(lambda job_id=job_id: over(served, job_id), f"{job_id} is over")
        served.api.get(f"/api/v1/jobs/{job_id}/table").raise_for_status()
    return seen, sizes, number


def quarters(values: list[float]) -> tuple[float, float]:
    """Medians of the second and of the last one."""
    part = len(values) // 4
    return statistics.median(values[part : 2 * part]), statistics.median(values[-part:])


def main() -> None:
    """Print one row for each process and what was looked at."""
    chosen = options(__doc__, ("--minutes", {"type": float, "default": 0.0, "help": "how long"}))
    minutes = chosen.minutes or (2.0 if chosen.quick else 30.0)
    with scratch() as folder:
        home = folder / "home"
        environment = os.environ | {"LUTFARM_HOME": str(home)}
        subprocess.run([LUTFARM, "device", "register", "desk", "--local"], env=environment, check=True, capture_output=True)
        served = Served(home, folder / "serve.log")
        served.start()
        try:
            until(served.ready, "it is ready")
            seen, sizes, jobs = played(served, home, 60 * minutes)
        finally:
            served.end()
    report = Report(f"{minutes:g} minutes of one small job after the other", ("what", "of", "second quarter", "last quarter"))
    for name, mine in seen.items():
        for what in ("memory_mb", "files", "threads", "connections"):
            report.rows.append((what.replace("_mb", " MB"), name, *(round(value, 1) for value in quarters(getattr(mine, what)))))
    report.rows.append(("kept KB beside the store", "home", *(round(value / 1024) for value in quarters(sizes))))
    report.notes.append(f"{jobs} jobs, each of 4 measurements in 2 rounds, with a listener and a table")
    report.show(chosen)


if __name__ == "__main__":
    main()
