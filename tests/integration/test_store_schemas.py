"""A store that an earlier version wrote: `scripts/keep_schema.py` keeps one of each schema."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Boolean, MetaData, NullPool, create_engine, inspect, text
from tests.rig.fixtures import postgresql
from tests.rig.postgresql import PostgreSql
from tests.store_kit import DESK, HELLO, JOB, PLAN, QUEUED, TOKEN, probe, run

from lutfarm.records.lease_holder import LeaseHolder
from lutfarm.store import Store, open_store
from lutfarm.store.sql import postgresql as opening
from lutfarm.store.sql.migrating import NEWEST, migrate
from lutfarm_jobs.run import Failure

__all__ = ["postgresql"]
DATA = Path(__file__).parents[1] / "data"
KEPT = sorted(DATA.glob("schema-*.sql"))


def test_this_schema_is_kept() -> None:
    assert DATA / f"schema-{NEWEST}.sql" in KEPT, "run scripts/keep_schema.py"


def of_old(kept: Path, folder: Path) -> Path:
    """A home as that version left it."""
    with closing(sqlite3.connect(folder / "farm.db")) as db:
        db.executescript(kept.read_text())
    return folder


def moved(kept: Path, folder: Path, address: str) -> None:
    """The same in PostgreSQL: made by the migrations of that version, filled with its rows."""
    engine = opening.connected(opening.read_address(address))
    migrate(engine, "here", to=kept.stem.removeprefix("schema-"))
    tables = MetaData()
    tables.reflect(engine)
    with closing(sqlite3.connect(of_old(kept, folder) / "farm.db")) as db, engine.begin() as new:
        db.row_factory = sqlite3.Row
        for table in tables.sorted_tables:
            rows = [dict(row) for row in db.execute(f'SELECT * FROM "{table.name}"')] if table.name != "alembic_version" else []
            truths = [column.name for column in table.columns if isinstance(column.type, Boolean)]
            for row in rows:
                row |= {name: None if row[name] is None else bool(row[name]) for name in truths}
                new.execute(table.insert().values(row))
    engine.dispose()


@pytest.mark.parametrize("kept", KEPT, ids=[path.stem for path in KEPT])
def test_all_of_it_is_read_by_this_version(kept: Path, tmp_path: Path) -> None:
    with open_store(of_old(kept, tmp_path)) as store:
        says_all(store, kept)


@pytest.mark.parametrize("kept", KEPT, ids=[path.stem for path in KEPT])
def test_all_of_it_is_read_in_postgresql_too(kept: Path, tmp_path: Path, postgresql: PostgreSql) -> None:
    address = postgresql.database()
    moved(kept, tmp_path, address)
    with opening.open_store(address) as store:
        says_all(store, kept)


DIE = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import event
from sqlalchemy.engine import Engine
from lutfarm.store import Store, open_store
from lutfarm.store.sql import postgresql as opening

@event.listens_for(Engine, "after_cursor_execute")
def die(connection, cursor, statement, *rest):
    if sys.argv[2] in statement:
        os.kill(os.getpid(), signal.SIGKILL)

open_store(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("where", ["CREATE TABLE queued_jobs", "CREATE TABLE tokens", "UPDATE alembic_version"])
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_kill_in_the_middle_of_a_migration_leaves_the_schema_of_before(
    database: str, where: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = KEPT[0]
    if database == "postgresql":
        server: PostgreSql = request.getfixturevalue("postgresql")
        address = server.database()
        moved(kept, tmp_path, address)
        (tmp_path / "farm.db").unlink()
        monkeypatch.setenv("LUTFARM_STORE", address)
    else:
        of_old(kept, tmp_path)
        address = f"sqlite:///{tmp_path}/farm.db"
    killed = subprocess.run(
        [sys.executable, "-c", DIE, tmp_path, where], capture_output=True, text=True, timeout=120, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with create_engine(address, poolclass=NullPool).connect() as db:
        assert db.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "0001"
        seen = inspect(db)
        assert not {"queued_jobs", "tokens"} & set(seen.get_table_names())
        assert "user" not in {column["name"] for column in seen.get_columns("jobs")}
    with open_store(tmp_path) as store:
        says_all(store, kept)


def says_all(store: Store, kept: Path) -> None:
    """What `fill` puts into a store, as far as that version's keeps it."""
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
