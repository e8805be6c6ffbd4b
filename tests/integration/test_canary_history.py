"""A canary's history in a store that has measured for long: nothing of it slides away."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.store_kit import DESK, PLAN

from lutfarm.canary.epochs import epochs, judging
from lutfarm.store import open_store

BASIS = (("runtime", "onnxruntime 1.32.0"),)
PLACE = ("desk", PLAN[0].backend.key, "b1-steady")
OLD, NEW = 30, 25_000  # rounds: a minute each, the newer ones twice as slow


def test_runs_keep_the_reference_of_their_time_whatever_was_measured_since(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.put_device(DESK)
    rows = [
        (f"{at:032x}", *PLACE, 60.0 * at, 1000 if at < OLD else 2000, True, '{"runtime":"onnxruntime 1.32.0"}')
        for at in range(OLD + NEW)
    ]
    path = tmp_path / "farm.db"
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.executemany(
            "INSERT INTO canary_rounds (round_id, device, backend_key, conditions_key, at_s, level_ns, idle, basis) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
    found = store.canary_rounds(*PLACE)
    assert len(found) == OLD + NEW
    assert judging(epochs(found), BASIS, 60.0).reference_ns == 1000
    assert judging(epochs(found), BASIS, 60.0 * (OLD + NEW)).reference_ns == 2000
