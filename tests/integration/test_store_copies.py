"""A farm goes from one database to the other: a file with all of its rows, which may be hostile when it is read."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tests import store_kit as kit
from tests.rig.fixtures import postgresql
from tests.rig.postgresql import PostgreSql

from lutfarm.home import Home
from lutfarm.records.job import Job
from lutfarm.store import open_store
from lutfarm.store.sql import copying
from lutfarm.store.sql import postgresql as opening
from lutfarm_agents import process_identity
from lutfarm_jobs.errors import SpecError, StoreError, StoreNewer
from lutfarm_jobs.round import Lease

__all__ = ["postgresql"]
DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A farm with a little of everything."""
    found = Home(tmp_path / "home")
    with open_store(found.path) as store:
        kit.fill(store)
        store.step_device("desk", kit.DeviceEvent("held", "n\N{LATIN SMALL LETTER E WITH ACUTE}w \N{BATTERY}"), 8.0)
    return found


def test_a_farm_goes_to_the_other_database_and_back_with_all_its_tables_equal(
    home: Home, postgresql: PostgreSql, tmp_path: Path
) -> None:
    address, first, second = postgresql.database(), tmp_path / "first.db", tmp_path / "second.db"
    with open_store(home.path) as old:
        old.write_copy(first)
    assert first.stat().st_mode & 0o777 == 0o600
    with opening.open_store(address) as new:
        new.take_copy(first)
        assert new.farm_id == old.farm_id
        new.write_copy(second)
    before = kit.rows_of(kit.sqlite_at(home.path))
    assert kit.rows_of(address) == before
    assert kit.rows_of(f"sqlite:///{second}") == before
    assert not list(tmp_path.glob("*-wal")) + list(tmp_path.glob("*-shm"))
    with opening.open_store(address) as new, open_store(home.path) as old:  # both go on from there
        for store in (new, old):
            lease = store.acquire("desk", owner=kit.OWNER, holder="ann", now_s=200.0, ttl_s=60.0)
            assert isinstance(lease, Lease)
            assert lease.token == 2
            store.commit([kit.run(id="3" * 32, round_id="c" * 32, fingerprint={"new": "one"})], lease, kit.JOB.id)
    assert kit.rows_of(address) == kit.rows_of(kit.sqlite_at(home.path))


def test_an_exported_and_imported_farm_gives_the_same_table_byte_by_byte(
    postgresql: PostgreSql, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lutfarm.lut.files import save_all
    from lutfarm.results.validated_table import validated_table
    from lutfarm.submission.submit import submit
    from lutfarm_jobs.spec import parse_job

    content = {
        "name": "told",
        "workloads": [{"space": "fbnet-32"}],
        "devices": ["desk"],
        "backends": [{"runtime": "onnxruntime"}],
        "sampling": {"rounds": 2},
    }
    with open_store(tmp_path / "home") as store:
        store.put_device(kit.DESK)
        store.put_hello("desk", kit.HELLO, 5.0)
        submitted, _ = submit(parse_job(content, source="job.yaml"), Path(), store)
        spec = submitted.spec
        store.open_job(Job(spec.id, spec.name, spec.model_dump_json(), 10.0, "complete", zeros=submitted.zeros), submitted.plan)
        lease = store.acquire("desk", owner=kit.OWNER, holder="ann", now_s=100.0, ttl_s=60.0)
        assert isinstance(lease, Lease)
        for number, measurement in enumerate(submitted.plan, start=1):
            one = replace(kit.SLICE, samples_ns=(1000 * number,) * 8)
            runs = [kit.run(key=measurement.key, round_index=index, slices=(one,), started_s=1.0 + index) for index in range(2)]
            store.commit(runs, lease, spec.id)
        store.write_copy(tmp_path / "farm.db")
        first, second = tmp_path / "first.csv", tmp_path / "second.csv"
        save_all(validated_table(store, spec.id), {first: ""})
        assert list(store.faults()) == []
    with opening.open_store(postgresql.database()) as moved:
        moved.take_copy(tmp_path / "farm.db")
        save_all(validated_table(moved, spec.id), {second: ""})
        assert list(moved.faults()) == []
    assert first.read_bytes() == second.read_bytes()
    assert len(first.read_bytes().splitlines()) > 100


def test_a_store_that_a_server_has_left_is_empty_and_one_that_it_has_is_not(home: Path, tmp_path: Path) -> None:
    with open_store(home.path) as store:
        store.write_copy(tmp_path / "farm.db")
    for held in (True, False):
        with open_store(tmp_path / f"new-{held}") as new:
            lease = new.acquire("(server)", owner=str(process_identity.me()), holder="lutfarm serve", now_s=0.0, ttl_s=60.0)
            assert isinstance(lease, Lease)
            if held:
                with pytest.raises(SpecError, match="lutfarm serve has this store now: end that first"):
                    new.take_copy(tmp_path / "farm.db")
                continue
            new.release(lease)
            new.take_copy(tmp_path / "farm.db")
            assert [device.name for device in new.devices()] == [kit.DESK.name]


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_copy_that_is_made_while_others_write_is_one_moment(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server: PostgreSql | None = request.getfixturevalue("postgresql") if database == "postgresql" else None
    over, copies = threading.Event(), 0
    with opening.open_store(server.database()) if server else open_store(tmp_path / "home") as store:
        kit.fill(store)

        def write() -> None:
            lease = store.acquire("other", owner=kit.OWNER, holder="ann", now_s=0.0, ttl_s=60.0)
            assert isinstance(lease, Lease)
            while not over.is_set():
                store.commit([kit.run(fingerprint={"x": os.urandom(4).hex()}) for _ in range(5)], lease, kit.JOB.id)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            counts: list[int] = []
            for copies in range(4):
                store.write_copy(tmp_path / f"{copies}.db")
                found = kit.rows_of(f"sqlite:///{tmp_path}/{copies}.db")
                assert len(found["runs"]) % 5 == 2  # whole commits beside the two of the beginning
                assert len(found["job_runs"]) == len(found["runs"])
                counts.append(len(found["runs"]))
        finally:
            over.set()
            writer.join()
        assert counts == sorted(counts)
    with open_store(tmp_path / "again") as again:
        again.take_copy(tmp_path / "3.db")


def test_only_an_empty_store_is_filled_and_one_of_an_earlier_schema_is_brought_up_to_date(home: Home, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with open_store(home.path) as store:
        store.write_copy(copy)
        before = kit.rows_of(kit.sqlite_at(home.path))
        with pytest.raises(SpecError, match=r"holds a farm already .* only an empty one"):
            store.take_copy(copy)
        with pytest.raises(SpecError, match=r"copy\.db is there already"):
            store.write_copy(copy)
        assert kit.rows_of(kit.sqlite_at(home.path)) == before
    old = tmp_path / "old.db"
    with closing(sqlite3.connect(old)) as db:
        db.executescript((DATA / "schema-0001.sql").read_text())
    with open_store(tmp_path / "other") as store:
        store.take_copy(old)
        assert len(list(store.runs(kit.JOB.id))) == 2


def test_a_copy_that_there_is_no_room_for_leaves_nothing(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(copying, "publish", full)
    with open_store(home.path) as store, pytest.raises(StoreError, match=r"copy\.db: .*No space left on device; make room"):
        store.write_copy(tmp_path / "copy.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("CREATE TRIGGER x AFTER INSERT ON runs BEGIN DELETE FROM runs; END", "holds the trigger 'x', which no farm has"),
        ("DROP TABLE tokens; CREATE VIEW tokens AS SELECT 1", "holds the view 'tokens'"),
        ("CREATE TABLE more (a)", "holds the table 'more'"),
        ("DROP TABLE tokens; CREATE VIRTUAL TABLE tokens USING fts5(a)", "holds the table 'tokens"),
        ("ALTER TABLE tokens ADD COLUMN a AS (1)", "computed columns"),
        ("UPDATE runs SET key = x'00ff'", r"damaged: runs\.key holds a bytes"),
        ("UPDATE runs SET slices = 'text'", r"damaged: runs\.slices holds a str"),
        ("UPDATE leases SET token = 'abc'", r"damaged: leases\.token holds a str"),
        ("UPDATE job_probes SET failed = 'soon'", r"job_probes\.failed holds what is neither true nor false"),
        ("UPDATE runs SET started_s = 'soon'", "soon|runs.started_s holds a str"),
        ("PRAGMA foreign_keys=OFF; DELETE FROM fingerprints", "the file is damaged"),
        ("UPDATE alembic_version SET version_num = '9999'", "written by a newer lutfarm"),
        ("DROP TABLE job_runs", "job_runs|no farm"),
        ("DROP TABLE job_runs; DROP TABLE runs", "there is no farm in it"),
    ],
)
def test_a_hostile_file_fills_nothing(home: Home, tmp_path: Path, damage: str, said: str) -> None:
    copy = tmp_path / "copy.db"
    with open_store(home.path) as store:
        store.write_copy(copy)
    with closing(sqlite3.connect(copy)) as db:
        db.executescript(damage)
        db.commit()
    with open_store(tmp_path / "other") as store:
        before = kit.rows_of(kit.sqlite_at(tmp_path / "other"))
        with pytest.raises((SpecError, StoreError, StoreNewer), match=said):
            store.take_copy(copy)
        assert kit.rows_of(kit.sqlite_at(tmp_path / "other")) == before


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0" + b"\xff" * 9000, b"text" * 5000])
def test_what_is_no_database_fills_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with open_store(tmp_path / "home") as store:
        for path in (tmp_path / "file", tmp_path / "none", tmp_path):
            with pytest.raises(SpecError, match=str(path)):
                store.take_copy(path)
