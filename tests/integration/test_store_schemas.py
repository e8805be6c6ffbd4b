"""A store that an earlier version wrote: `scripts/keep_schema.py` keeps one of each schema."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.store_kit import DESK, HELLO, JOB, PLAN, QUEUED, TOKEN, probe, run

from lutfarm.records.lease_holder import LeaseHolder
from lutfarm.store import open_store
from lutfarm.store.sql.open import NEWEST
from lutfarm_jobs.run import Failure

DATA = Path(__file__).parents[1] / "data"
KEPT = sorted(DATA.glob("schema-*.sql"))


def test_this_schema_is_kept() -> None:
    assert DATA / f"schema-{NEWEST}.sql" in KEPT, "run scripts/keep_schema.py"


@pytest.mark.parametrize("kept", KEPT, ids=[path.stem for path in KEPT])
def test_all_of_it_is_read_by_this_version(kept: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "farm.db")) as db:
        db.executescript(kept.read_text())
    with open_store(tmp_path) as store:
        assert (store.device("desk"), store.hello("desk")) == (DESK, (HELLO, 5.0))
        assert [one.reason for one in store.device_history("desk")] == ["new fan"]
        assert store.device_record("desk", 200.0).state == "maintenance"
        assert [one.boot_id for one in store.checks("desk")] == ["m1"]
        assert store.lease_holder("desk", 101.0) == LeaseHolder("ann", 160.0, JOB.id)
        found = store.job(JOB.name)
        assert found is not None
        assert found[0] == JOB
        assert list(store.measurements(JOB.id)) == list(PLAN)
        whole, cut = sorted(store.runs(JOB.id), key=lambda one: one.id)
        assert whole == run(id="1" * 32, round_id="a" * 32)
        assert cut == run(id="2" * 32, round_id="b" * 32, status="truncated")
        probes = store.probes([m.key for m in PLAN])
        assert list(probes[PLAN[0].key]) == [probe()]
        assert [one.failure for one in probes[PLAN[1].key]] == [Failure("OutOfMemory", "7 GB wanted")]
        assert store.farm_id
        if kept.stem == "schema-0001":
            assert (found[0].user, found[0].priority) == ("", 0)
            assert (store.queue(), store.tokens()) == ([], [])
            return
        assert (store.queue(), store.tokens()) == ([QUEUED], [TOKEN])
        later = store.job(QUEUED.job_id)
        assert later is not None
        assert (later[0].state, later[0].user, later[0].priority) == ("queued", "ann", 2)
