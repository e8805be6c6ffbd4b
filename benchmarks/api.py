"""How long a served farm takes to answer, at so many requests a second, while it measures and many runs lie in its store.

A request is sent when its time has come, whether or not those before it are answered, and what it waited for counts.
LUTFARM_STORE keeps the farm in PostgreSQL instead of SQLite.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from _device import scratch
from _table import Report, options
from crash import LUTFARM, Served, submitted, until
from store_speed import PLAN, ROUND, a_round

from lutfarm.store import Job, Store, open_store
from lutfarm_jobs.round import Lease

REQUESTS_A_SECOND = 200
CLIENTS = 16
A_JOB = 10_000  # runs
ROUTES = (
    "/healthz",
    "/api/v1/jobs?limit=20",
    "/api/v1/jobs/{job}",
    "/api/v1/jobs/{job}/runs?limit=20",
    "/api/v1/devices",
    "/api/v1/hosts",
)


@dataclass(slots=True)
class Asked:
    """What a route took, and what was answered instead of 200."""

    took_s: list[float] = field(default_factory=list[float])
    refused: int = 0


def filled(store: Store, runs: int) -> list[str]:
    """Ids of jobs that have so many runs together, of a device that is not there."""
    dice = random.Random(0)
    lease = store.acquire("bench", owner="benchmark", holder="benchmark", now_s=time.time(), ttl_s=1e6)
    assert isinstance(lease, Lease)
    ids: list[str] = []
    for number in range(max(1, runs // A_JOB)):
        ids.append(f"stored-{number:010x}")
        store.open_job(Job(ids[-1], f"stored-{number}", "{}", time.time()), PLAN)
        for _ in range(min(runs, A_JOB) // ROUND):
            store.commit(a_round(dice), lease, ids[-1])
        store.close_job(ids[-1], "complete", "")
    store.release(lease)
    return ids


def asked(address: httpx.URL, ids: list[str], seconds: float) -> dict[str, Asked]:
    """By route."""
    dice = random.Random(1)
    found = {route: Asked() for route in ROUTES}
    lock, began = threading.Lock(), time.perf_counter()

    def ask(client: httpx.Client, route: str, path: str, due_s: float) -> None:
        status = client.get(path).status_code
        took_s = time.perf_counter() - began - due_s
        with lock:
            found[route].took_s.append(took_s)
            found[route].refused += status != 200

    # Each from an address of its own: what one client may ask is bounded.
    clients = [
        httpx.Client(base_url=address, timeout=60.0, transport=httpx.HTTPTransport(local_address=f"127.0.0.{2 + number}"))
        for number in range(CLIENTS)
    ]
    with ThreadPoolExecutor(CLIENTS) as pool:
        for number in range(round(seconds * REQUESTS_A_SECOND)):
            due_s = number / REQUESTS_A_SECOND
            time.sleep(max(0.0, began + due_s - time.perf_counter()))
            route = dice.choice(ROUTES)
            pool.submit(ask, clients[number % CLIENTS], route, route.format(job=dice.choice(ids)), due_s)
    for client in clients:
        client.close()
    return found


def main() -> None:
    """Print one row a route."""
    chosen = options(__doc__, ("--runs", {"type": int, "default": 0, "help": "that are stored"}))
    runs = chosen.runs or (A_JOB if chosen.quick else 1_000_000)
    with scratch() as folder:
        home = folder / "home"
        environment = os.environ | {"LUTFARM_HOME": str(home)}
        subprocess.run([LUTFARM, "device", "register", "desk", "--local"], env=environment, check=True, capture_output=True)
        with open_store(home) as store:
            ids = filled(store, runs)
        served = Served(home, Path(folder / "serve.log"))
        served.start()
        try:
            until(served.ready, "it is ready")
            with submitted(served, 0, 1000) as job_id:
                until(served.runner, "something measures")
                asked(served.api.base_url, ids, 3.0)
                found = asked(served.api.base_url, ids, 10.0 if chosen.quick else 60.0)
                served.api.post(f"/api/v1/jobs/{job_id}/cancel", json={}).raise_for_status()
        finally:
            served.end()
    report = Report(
        f"{REQUESTS_A_SECOND} requests a second, while a job runs and {runs} runs are stored",
        ("route", "requests", "not 200", "median ms", "p99 ms", "worst ms"),
    )
    everything = Asked([one for mine in found.values() for one in mine.took_s], sum(mine.refused for mine in found.values()))
    for route, mine in {**found, "all": everything}.items():
        p99 = statistics.quantiles(mine.took_s, n=100)[98]
        times = [round(1000 * one, 1) for one in (statistics.median(mine.took_s), p99, max(mine.took_s))]
        report.rows.append((route, len(mine.took_s), mine.refused, *times))
    report.show(chosen)


if __name__ == "__main__":
    main()
