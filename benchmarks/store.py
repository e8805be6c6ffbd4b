"""How fast runs are committed, one by one and a round at a time, and how large they are on disk.

A run has 12 slices of 20 samples.  Every commit is durable: SQLite in WAL mode with synchronous=FULL.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
import uuid
from pathlib import Path

from _table import Report, options

from lutfarm.store import Job, open_store
from lutfarm_jobs.measurement import Backend, Measurement, Workload
from lutfarm_jobs.round import Lease
from lutfarm_jobs.run import Run, Slice

PLAN = [Measurement(Workload("operator", f"op_{n}"), "desk", Backend("onnxruntime")) for n in range(100)]


def a_round(dice: random.Random) -> list[Run]:
    """100 runs of one round, with samples that don't compress better than real ones."""
    round_id = uuid.uuid4().hex
    return [
        Run(
            uuid.uuid4().hex,
            m.key,
            "desk",
            round_id,
            0,
            "complete",
            time.time(),
            time.time(),
            {"runtime": "x"},
            tuple(
                Slice(
                    p,
                    tuple(round(dice.gauss(50_000, 500)) for _ in range(20)),
                    70_000 + p,
                    70_010,
                    quiet=True,
                    gated=True,
                    involuntary_switches=0,
                    waited_ns=0,
                    wall_ns=10**6,
                    cpu_ns=10**6,
                )
                for p in range(12)
            ),
        )
        for m in PLAN
    ]


def main() -> None:
    """Print one table."""
    chosen = options(__doc__)
    rounds = 5 if chosen.quick else 20
    dice = random.Random(0)
    single: list[float] = []
    batched: list[float] = []
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder)) as store:
        store.open_job(Job("j", "j", "{}", 0.0), PLAN)
        lease = store.acquire("desk", owner="benchmark", holder="benchmark", now_s=time.time(), ttl_s=1e6)
        assert isinstance(lease, Lease)
        for _ in range(rounds):  # in turn, so that the machine's mood hits both alike
            for batches, rates in (([[run] for run in a_round(dice)], single), ([a_round(dice)], batched)):
                began = time.perf_counter()
                for batch in batches:
                    store.commit(batch, lease, "j")
                rates.append(100 / (time.perf_counter() - began))
        began = time.perf_counter()
        read = sum(1 for _ in store.runs("j"))
        reading = read / (time.perf_counter() - began)
        store.close()
        size = sum(path.stat().st_size for path in Path(folder).glob("farm.db*")) / read
    report = Report("the store: runs of 12 slices x 20 samples", ("what", "median", "lowest", "highest"))
    for name, rates in (("commits/s, one run each", single), ("runs/s, a round of 100 in one commit", batched)):
        report.rows.append((name, round(statistics.median(rates)), round(min(rates)), round(max(rates))))
    report.rows.append(("runs/s read back with samples", round(reading), None, None))
    report.rows.append(("bytes a run on disk", round(size), None, None))
    ratio = statistics.median(b / s for b, s in zip(batched, single, strict=True))
    report.notes.append(f"a round in one commit is {ratio:.1f} times as fast as run by run (median of {rounds} pairs)")
    report.show(chosen)


if __name__ == "__main__":
    main()
