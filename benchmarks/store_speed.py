"""How many runs are committed a second, how many are read, how large they are on disk; beside SQLite alone with the same bytes.

A run is as real ones are: 16 slices of 4 to 8 samples, an environment before and after, a fingerprint.  Every commit is durable:
SQLite in WAL mode with synchronous=FULL.  "SQLite alone" inserts rows of the same bytes, encoded beforehand, into one table
without an index, 100 in one transaction.
"""

from __future__ import annotations

import os
import random
import sqlite3
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from _table import Report, options

from lutfarm.store import Job, open_store
from lutfarm_jobs.measurement import Backend, Measurement, Workload
from lutfarm_jobs.round import Lease
from lutfarm_jobs.run import Environment, Run, Slice

ROUND = 100
COMMIT_BYTES = 300_000  # that a round of 100 adds to the WAL, about
PLAN = [
    Measurement(Workload("operator", f"conv_H56_W56_Cin24_Cout{n}_k1_s1_g1_relu"), "desk", Backend("onnxruntime"))
    for n in range(ROUND)
]
FINGERPRINT = {
    "runtime": "onnxruntime 1.32.0",
    "runner": "0" * 64,
    "protocol": "1" * 64,
    "os": "Linux 6.1.0-18-amd64 #1 SMP PREEMPT_DYNAMIC",
    "cpu": "AMD EPYC 7B13",
    "governor": "performance",
}


def a_round(dice: random.Random) -> list[Run]:
    """One run of each measurement, from one process."""
    now_s = time.time()
    round_id = uuid.uuid4().hex
    return [
        Run(
            uuid.uuid4().hex,
            m.key,
            "desk",
            round_id,
            0,
            "complete",
            now_s,
            now_s + 2.345678,
            dict(FINGERPRINT),
            tuple(_slice(dice, index) for index in range(16)),
            load_ns=dice.randrange(10**6, 10**7),
            first_inference_ns=dice.randrange(10**6, 10**7),
            peak_memory_bytes=83_927_040,
            canary_reference_ns=55_478,
            slices_rejected=2,
            slices_discarded=3,
            clock_step_ns=1,
            before=_environment(now_s),
            after=_environment(now_s + 2.3),
        )
        for m in PLAN
    ]


def _slice(dice: random.Random, index: int) -> Slice:
    samples = tuple(round(dice.gauss(50_000, 500)) for _ in range(dice.randint(4, 8)))
    wall_ns = sum(samples) + dice.randrange(5_000)
    return Slice(
        index,
        samples,
        round(dice.gauss(56_000, 600)),
        round(dice.gauss(56_000, 600)),
        quiet=dice.random() < 0.9,
        gated=True,
        involuntary_switches=0,
        waited_ns=dice.randrange(10**5),
        wall_ns=wall_ns,
        cpu_ns=wall_ns + dice.randrange(5_000),
        run_delay_ns=0,
    )


def _environment(time_s: float) -> Environment:
    return Environment(
        time_s,
        load_1min=13.59033203125,
        memory_available_bytes=21_586_751_488,
        free_bytes=76_091_654_144,
        busy_s=9988.27,
        own_s=0.550461938,
        cores=2,
        virtual=True,
    )


def same_bytes(path: Path) -> list[tuple[object, ...]]:
    """The newest round's rows as the store wrote them."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute(f"SELECT * FROM runs ORDER BY number DESC LIMIT {ROUND}").fetchall()


def bare(path: Path, columns: int) -> sqlite3.Connection:
    """A database of one table, as durable as the store's."""
    db = sqlite3.connect(path, isolation_level=None)
    for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL"):
        db.execute(statement)
    db.execute(f"CREATE TABLE runs ({', '.join(f'c{n}' for n in range(columns))})")
    return db


def insert(db: sqlite3.Connection, rows: list[tuple[object, ...]]) -> None:
    """All of them, in one durable transaction."""
    db.execute("BEGIN IMMEDIATE")
    db.executemany(f"INSERT INTO runs VALUES ({', '.join('?' * len(rows[0]))})", rows)
    db.execute("COMMIT")


def rate(work: Callable[[], int]) -> float:
    """How many a second."""
    began = time.perf_counter()
    count = work()
    return count / (time.perf_counter() - began)


def synced(file: BinaryIO, size: int) -> float:
    """How often a second as many bytes as a commit writes reach this disk."""
    file.write(bytes(size))
    file.flush()
    return rate(lambda: os.fsync(file.fileno()) or 1)


def main() -> None:
    """Print one table."""
    chosen = options(__doc__, ("--stored", {"type": int, "default": 0, "metavar": "RUNS", "help": "that lie there before"}))
    rounds = 20 if chosen.quick else 200
    dice = random.Random(0)
    single: list[float] = []
    batched: list[float] = []
    alone: list[float] = []
    worked: list[float] = []
    disk: list[float] = []
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder)) as store:
        file = Path(folder) / "farm.db"
        store.open_job(Job("conv-20260101-000000", "conv", "{}", 0.0), PLAN)
        lease = store.acquire("desk", owner="benchmark", holder="benchmark", now_s=time.time(), ttl_s=1e6)
        assert isinstance(lease, Lease)

        def commit(arrived: list[Run]) -> int:
            store.commit(arrived, lease, "conv-20260101-000000")
            return len(arrived)

        for _ in range(max(1, chosen.stored // ROUND)):
            commit(a_round(dice))
        with (
            closing(bare(Path(folder) / "bare.db", len(same_bytes(file)[0]))) as db,
            (Path(folder) / "beside").open("wb") as beside,
        ):
            for turn in range(rounds):  # in turn, so that the machine's mood hits all alike
                arrived = a_round(dice)
                began_s = time.thread_time()
                batched.append(rate(lambda arrived=arrived: commit(arrived)))
                worked.append(ROUND / (time.thread_time() - began_s))
                rows = same_bytes(file)
                disk.append(synced(beside, COMMIT_BYTES))
                alone.append(rate(lambda rows=rows: insert(db, rows) or len(rows)))
                if turn % 10 == 0:
                    one_by_one = a_round(dice)
                    single.append(rate(lambda arrived=one_by_one: sum(commit([run]) for run in arrived)))
        stored = commit(a_round(dice)) and sum(1 for _ in store.runs("conv-20260101-000000", samples=False))
        reading = [rate(lambda: sum(1 for _ in store.runs("conv-20260101-000000"))) for _ in range(3)]
        store.close()
        size = sum(path.stat().st_size for path in Path(folder).glob("farm.db*")) / stored
    report = Report("the store: runs of 16 slices x 4-8 samples", ("what", "median", "lowest", "highest"))
    named = (
        ("runs/s, a round of 100 in one commit", batched),
        ("rows/s, SQLite alone, 100 in one transaction", alone),
        ("runs per second of this process's own work, the same rounds", worked),
        ("fsyncs/s of 300 kB on this disk", disk),
        ("commits/s, one run each", single),
        ("runs/s read back with samples", reading),
    )
    for name, rates in named:
        report.rows.append((name, round(statistics.median(rates)), round(min(rates)), round(max(rates))))
    report.rows.append(("MB on disk per million runs", round(size), None, None))
    ratio = statistics.median(ours / theirs for ours, theirs in zip(batched, alone, strict=True))
    report.notes.append(
        f"encoding, indexes, links and the lease's check included, {ratio:.2f} of SQLite alone (median of {rounds} pairs)"
    )
    report.notes.append(f"{stored} runs were stored at the end")
    report.show(chosen)


if __name__ == "__main__":
    main()
