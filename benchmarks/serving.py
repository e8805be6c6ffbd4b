"""The same job by `lutfarm run`, by `lutfarm run` while a server of another home idles, and by that server: time and latencies.

In turn, in a random order.  Two users follow the served farm's jobs all the while.  Each time it is a job of its own, of a
fixed number of rounds.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from _device import scratch
from _table import Report, median_interval, options
from crash import LUTFARM, Served, over, until

from lutfarm.store import open_store

OPERATORS = [f"conv_H28_W28_Cin32_Cout{16 * n}_k3_s1_g1_relu" for n in range(1, 9)]
ALONE, BESIDE, SERVED = "run, no server", "run beside an idle server", "by the server"
LOOKS_S = 2.0  # between two looks of a user


@dataclass(frozen=True, slots=True)
class Played:
    """Once: from the command to its end, from the first run's begin to the last one's end, and the table's estimates."""

    whole_s: float
    span_s: float
    estimates_ns: Mapping[str, float]


class Home:
    """A home with this machine, and what lutfarm does there."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self.call("device", "register", "desk", "--local")

    def call(self, *words: str) -> str:
        """What a command says on standard output."""
        environment = os.environ | {"LUTFARM_HOME": str(self.path)}
        return subprocess.run([LUTFARM, *words], env=environment, check=True, capture_output=True, text=True).stdout

    def run(self, text: str) -> Played:
        """By `lutfarm run`."""
        job = self.path / "job.yaml"
        job.write_text(text)
        began = time.perf_counter()
        self.call("run", str(job))
        return self.played(time.perf_counter() - began)

    def played(self, whole_s: float) -> Played:
        """Of the newest job."""
        with open_store(self.path, to_read=True) as store:
            job, _ = store.jobs(most=1)[0]
            runs = list(store.runs(job.id, samples=False))
        table = self.path / "table.json"
        self.call("lut", "export", job.id, "--out", str(table))
        entries = json.loads(table.read_text())["entries"]
        span_s = max(run.ended_s for run in runs) - min(run.started_s for run in runs)
        return Played(whole_s, span_s, {entry["key"]: entry["estimate"] for entry in entries})


def by_server(home: Home, served: Served, text: str) -> Played:
    """Submitted and waited for over the API."""
    began = time.perf_counter()
    answer = served.api.post("/api/v1/jobs", json={"job": text})
    answer.raise_for_status()
    job_id = answer.json()["id"]
    until(lambda: over(served, job_id), f"{job_id} is over")
    return home.played(time.perf_counter() - began)


@contextmanager
def followed(address: httpx.URL) -> Iterator[None]:
    """Two users look at the jobs every two seconds."""
    ended = threading.Event()

    def look() -> None:
        with httpx.Client(base_url=address) as api:
            while not ended.wait(LOOKS_S):
                api.get("/api/v1/jobs?limit=20")

    users = [threading.Thread(target=look) for _ in range(2)]
    for user in users:
        user.start()
    try:
        yield
    finally:
        ended.set()
        for user in users:
            user.join()


def main() -> None:
    """Print one row a way."""
    chosen = options(__doc__, ("--turns", {"type": int, "default": 0, "help": "of each"}))
    turns = chosen.turns or (3 if chosen.quick else 15)
    rounds = 3 if chosen.quick else 8
    job = (
        f"name: share-%s\nworkloads: [{{operators: [{', '.join(OPERATORS)}]}}]\ndevices: [desk]\nfresh: true\n"
        f"backends: [{{runtime: onnxruntime}}]\nsampling: {{rounds: {rounds}, stop: rounds}}\n"
    )
    dice = random.Random(3)
    found: dict[str, list[Played]] = {ALONE: [], BESIDE: [], SERVED: []}
    with scratch() as folder:
        own, other = Home(folder / "own"), Home(folder / "other")
        served = Served(other.path, folder / "serve.log", executor="ray")
        own.run(job % "first")  # models are built once
        other.run(job % "first")
        for turn in range(1, turns + 1):
            text = job % turn
            for way in dice.sample(list(found), len(found)):
                if way == ALONE:
                    found[way].append(own.run(job % f"alone-{turn}"))
                    continue
                served.start()
                try:
                    until(served.ready, "it is ready")
                    with followed(served.api.base_url):
                        found[way].append(own.run(text) if way == BESIDE else by_server(other, served, text))
                finally:
                    served.end()
    report = Report(
        f"one job of {len(OPERATORS)} operators in {rounds} rounds, {turns} times each way",
        ("way", "whole s", "measuring s", "x", "low", "high", "latency x", "low ", "high "),
    )
    for way, played in found.items():
        spans = [mine.span_s / alone.span_s for mine, alone in zip(played, found[ALONE], strict=True)]
        latencies = [_ratio(mine, alone) for mine, alone in zip(played, found[ALONE], strict=True)]
        ratios = [round(one, 3) for values in (spans, latencies) for one in median_interval(values)]
        times = [round(statistics.median(one), 1) for one in ([p.whole_s for p in played], [p.span_s for p in played])]
        report.rows.append((way, *times, *ratios))
    report.notes.append(
        "measuring: from the first run's begin to the last one's end. x: to the run of that turn without a server, the median "
        "and its interval (at least 95 %); latency x: of the estimates, their ratios' geometric mean over the operators"
    )
    report.show(chosen)


def _ratio(mine: Played, alone: Played) -> float:
    return statistics.geometric_mean(mine.estimates_ns[key] / alone.estimates_ns[key] for key in alone.estimates_ns)


if __name__ == "__main__":
    main()
