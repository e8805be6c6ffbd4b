"""A served farm whose processes are killed while they measure: what is lost, what is doubled, how soon it goes on.

Each time with work in flight: the process that measures exists at that moment.  Counts runs that were there before and are gone,
measurements that have more or fewer rounds than were asked for in the end (but those that are stored as failed: a workload whose
runner is killed twice), and says how long until the server answers and its dispatcher asks again.  LUTFARM_STORE keeps
the farm in PostgreSQL instead of SQLite.
"""

from __future__ import annotations

import collections
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
from _device import scratch
from _table import Report, options

from lutfarm.store import open_store

VICTIMS = ("dispatcher", "server", "runner")
OPERATORS = [f"conv_H14_W14_Cin8_Cout{8 * n}_k1_s1_g1_relu" for n in range(1, 5)]
MOST_S = 300.0
LUTFARM = Path(sys.executable).with_name("lutfarm")


@dataclass(slots=True)
class Served:
    """The server that runs now."""

    home: Path
    log: Path
    process: subprocess.Popen[bytes] | None = None
    executor: str = "local"
    api: httpx.Client = field(default_factory=httpx.Client)

    def start(self) -> None:
        """Until it says where."""
        self.log.write_text("")
        with self.log.open("w") as said:
            self.process = subprocess.Popen(
                [LUTFARM, "serve", "--port", "0", "--executor", self.executor],
                env=os.environ | {"LUTFARM_HOME": str(self.home), "COLUMNS": "400"},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )
        until(lambda: " at http" in self.log.read_text(), "it serves")
        self.api.close()
        address = self.log.read_text().split(" at ")[1].split(";")[0]
        self.api = httpx.Client(base_url=address, timeout=60.0)

    def ready(self) -> bool:
        """It answers, and its dispatcher asks."""
        try:
            answer = self.api.get("/readyz")
        except httpx.HTTPError:
            return False
        return answer.status_code == 200 and (self.dispatcher() is not None)

    def dispatcher(self) -> psutil.Process | None:
        """That runs now."""
        return next(iter(self._below("lutfarm.server.dispatcher")), None)

    def runner(self) -> psutil.Process | None:
        """The process that measures now."""
        return next(iter(self._below("lutfarm_runner")), None)

    def _below(self, word: str) -> Iterator[psutil.Process]:
        assert self.process is not None
        try:
            children = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.Error:
            return
        for child in children:
            try:
                if any(word in argument for argument in child.cmdline()) and child.status() != psutil.STATUS_ZOMBIE:
                    yield child
            except psutil.Error:
                continue

    def end(self) -> None:
        """As a person would."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(120)
        self.api.close()


def until(reached: Callable[[], object], what: str) -> float:
    """How long it took."""
    began = time.monotonic()
    while not reached():
        if time.monotonic() - began > MOST_S:
            raise SystemExit(f"never: {what}")
        time.sleep(0.02)
    return time.monotonic() - began


def runs(home: Path, job_id: str) -> list[tuple[str, str, str]]:
    """Id, measurement and status of each."""
    with open_store(home, to_read=True) as store:
        return [(run.id, run.key, run.status) for run in store.runs(job_id, samples=False)]


@contextmanager
def submitted(served: Served, number: int, rounds: int) -> Iterator[str]:
    """A job of its own, which has more to do than one point needs, and is over at the end."""
    text = (
        f"name: point-{number}\nworkloads: [{{operators: [{', '.join(OPERATORS)}]}}]\ndevices: [desk]\nfresh: true\n"
        f"backends: [{{runtime: onnxruntime}}]\nsampling: {{rounds: {rounds}, passes: 2, stop: rounds}}\n"
    )
    answer = served.api.post("/api/v1/jobs", json={"job": text})
    answer.raise_for_status()
    job_id = str(answer.json()["id"])
    yield job_id
    until(lambda: over(served, job_id), f"{job_id} is over")


def over(served: Served, job_id: str) -> bool:
    """Whether it is."""
    try:
        return served.api.get(f"/api/v1/jobs/{job_id}").json()["state"] not in ("queued", "open")
    except httpx.HTTPError:
        return False


def kill(served: Served, victim: str, dice: random.Random) -> float | None:
    """Kill one while something is measured; how long until all goes on; None where nothing was in flight then."""
    time.sleep(dice.uniform(0.0, 1.5))
    runner, dispatcher = served.runner(), served.dispatcher()
    if runner is None or dispatcher is None:
        return None
    assert served.process is not None
    if victim == "server":
        served.process.kill()
        served.process.wait()
        began = time.monotonic()
        served.start()
        until(served.ready, "it is ready again")
        return time.monotonic() - began
    target = runner if victim == "runner" else dispatcher
    try:
        os.kill(target.pid, signal.SIGKILL)
    except ProcessLookupError:
        return None
    if victim == "runner":
        return 0.0
    return until(lambda: served.dispatcher() not in (None, dispatcher) and served.ready(), "it is ready again")


def main() -> None:
    """Print one row a victim."""
    chosen = options(__doc__, ("--points", {"type": int, "default": 0, "help": "kills of each kind, with work in flight"}))
    points = chosen.points or (3 if chosen.quick else 200)
    dice, rounds = random.Random(7), 6
    report = Report(
        "crash", ["killed", "points", "runs lost", "rounds too many or few", "failed", "median until ready s", "worst s"]
    )
    with scratch() as folder:
        home = folder / "home"
        subprocess.run(
            [LUTFARM, "device", "register", "desk", "--local"], env=os.environ | {"LUTFARM_HOME": str(home)}, check=True
        )
        served = Served(home, folder / "serve.log")
        served.start()
        until(served.ready, "it is ready")
        number = 0
        for victim in VICTIMS:
            lost, wrong, failed, took = 0, 0, 0, list[float]()
            while len(took) < points:
                number += 1
                with submitted(served, number, rounds) as job_id:
                    until(lambda job_id=job_id: runs(home, job_id), "a first run")
                    until(served.runner, "something measures")
                    went = kill(served, victim, dice)
                    before = {one for one, _, status in runs(home, job_id) if status == "complete"}
                after = runs(home, job_id)
                if went is None:
                    continue
                took.append(went)
                lost += len(before - {one for one, _, _ in after})
                whole = collections.Counter(key for _, key, status in after if status == "complete")
                broken = {key for _, key, status in after if status == "failed"}
                failed += len(broken)
                wrong += sum(abs(count - rounds) for key, count in whole.items() if key not in broken)
                wrong += rounds * (len(OPERATORS) - len(whole.keys() | broken))
            report.rows.append([victim, len(took), lost, wrong, failed, statistics.median(took), max(took)])
        served.end()
        checked = subprocess.run([LUTFARM, "db", "check"], env=os.environ | {"LUTFARM_HOME": str(home)}, capture_output=True)
        kept = os.environ.get("LUTFARM_STORE", "SQLite")[:10]
        report.notes.append(f"lutfarm db check at the end: exit code {checked.returncode}; kept in {kept}")
    report.show(chosen)


if __name__ == "__main__":
    main()
