"""A farm goes to another place: exported and imported between databases, backed up and restored, from files that are hostile."""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
import tarfile
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, select
from tests import store_kit as kit
from tests.rig.fixtures import postgresql
from tests.rig.postgresql import PostgreSql

from lutfarm.home import Home
from lutfarm.records.job import Job
from lutfarm.records.queued_job import QueuedJob
from lutfarm.store import backup, open_store
from lutfarm.store.backup import back_up, restore
from lutfarm.store.sql import postgresql as opening
from lutfarm.store.sql.copying import NEWER
from lutfarm.store.sql.schema import metadata
from lutfarm_jobs.errors import SpecError, StoreError, StoreNewer
from lutfarm_jobs.round import Lease

__all__ = ["postgresql"]
DATA = Path(__file__).parents[1] / "data"


def rows_of(address: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, in one order."""
    with create_engine(address, poolclass=NullPool).connect() as db:
        return {
            table.name: [tuple(row) for row in db.execute(select(table).order_by(*table.primary_key))]
            for table in metadata.sorted_tables
        }


def at(home: Path) -> str:
    return f"sqlite:///{home}/farm.db"


@pytest.fixture(autouse=True)
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this person's own profiles are."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "config" / "lutfarm" / "profiles"
    folder.mkdir(parents=True)
    return folder


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
    before = rows_of(at(home.path))
    assert rows_of(address) == before
    assert rows_of(f"sqlite:///{second}") == before
    assert not list(tmp_path.glob("*-wal")) + list(tmp_path.glob("*-shm"))
    with opening.open_store(address) as new, open_store(home.path) as old:  # both go on from there
        for store in (new, old):
            lease = store.acquire("desk", owner=kit.OWNER, holder="ann", now_s=200.0, ttl_s=60.0)
            assert isinstance(lease, Lease)
            assert lease.token == 2
            store.commit([kit.run(id="3" * 32, round_id="c" * 32, fingerprint={"new": "one"})], lease, kit.JOB.id)
    assert rows_of(address) == rows_of(at(home.path))


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
                found = rows_of(f"sqlite:///{tmp_path}/{copies}.db")
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
        before = rows_of(at(home.path))
        with pytest.raises(SpecError, match=r"holds a farm already .* only an empty one"):
            store.take_copy(copy)
        with pytest.raises(StoreError, match=r"copy\.db: .*File exists"):
            store.write_copy(copy)
        assert rows_of(at(home.path)) == before
    old = tmp_path / "old.db"
    with closing(sqlite3.connect(old)) as db:
        db.executescript((DATA / "schema-0001.sql").read_text())
    with open_store(tmp_path / "other") as store:
        store.take_copy(old)
        assert len(list(store.runs(kit.JOB.id))) == 2


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
        before = rows_of(at(tmp_path / "other"))
        with pytest.raises((SpecError, StoreError, StoreNewer), match=said):
            store.take_copy(copy)
        assert rows_of(at(tmp_path / "other")) == before


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0" + b"\xff" * 9000, b"text" * 5000])
def test_what_is_no_database_fills_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with open_store(tmp_path / "home") as store:
        for path in (tmp_path / "file", tmp_path / "none", tmp_path):
            with pytest.raises(SpecError, match=str(path)):
                store.take_copy(path)


@pytest.fixture
def whole(home: Home, profiles: Path) -> Home:
    """With all that a farm has beside its database."""
    (home.agents / "keys").mkdir(parents=True)
    (home.agents / "keys" / "adbkey").write_text("a private key")
    (home.submitted / "later-2" / "models").mkdir(parents=True)
    (home.submitted / "later-2" / "job.yaml").write_text("name: later")
    (home.submitted / "later-2" / "models" / "m \N{BATTERY}.onnx").write_bytes(os.urandom(100_000))
    (home.submitted / "later-2" / "link").symlink_to("/etc/passwd")
    (home.models / "cache").mkdir(parents=True)
    (profiles / "mine.yaml").write_text("name: mine")
    with open_store(home.path) as store:
        store.enqueue(QueuedJob(kit.QUEUED.job_id, str(home.submitted / "later-2"), 5.0))
    return home


def test_a_farm_is_backed_up_and_restored_elsewhere(whole: Home, profiles: Path, tmp_path: Path) -> None:
    file, other = tmp_path / "farm.tar", Home(tmp_path / "other" / "home")
    assert back_up(whole, file) == 5
    assert file.stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob(".*"))
    (profiles / "mine.yaml").unlink()
    restored = restore(file, other)
    assert (restored.files, restored.profiles, restored.profiles_kept) == (5, ("mine",), ())
    assert (profiles / "mine.yaml").read_text() == "name: mine"
    key = other.agents / "keys" / "adbkey"
    assert (key.read_text(), key.stat().st_mode & 0o777) == ("a private key", 0o600)
    kept = sorted(path.relative_to(other.path).as_posix() for path in other.submitted.rglob("*") if not path.is_dir())
    assert kept == ["submitted/later-2/job.yaml", "submitted/later-2/models/m \N{BATTERY}.onnx"]
    model = Path("later-2") / "models" / "m \N{BATTERY}.onnx"
    assert (other.submitted / model).read_bytes() == (whole.submitted / model).read_bytes()
    before, after = rows_of(at(whole.path)), rows_of(at(other.path))
    for name in set(before) - {"leases", "queued_jobs"}:
        assert after[name] == before[name]
    with open_store(other.path) as store:
        assert [entry.folder for entry in store.queue()] == [str(other.submitted / "later-2")]
        lease = store.acquire("desk", owner=kit.OWNER, holder="ann", now_s=500.0, ttl_s=60.0)
        assert isinstance(lease, Lease)
        assert lease.token == NEWER + 2  # greater than what was given out since
    assert sorted(path.name for path in other.path.parent.iterdir()) == ["home"]
    assert other.path.stat().st_mode & 0o777 == 0o700


def test_a_backup_goes_into_postgresql_too(
    whole: Home, postgresql: PostgreSql, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, again = tmp_path / "farm.tar", tmp_path / "again.tar"
    back_up(whole, file)
    monkeypatch.setenv("LUTFARM_STORE", postgresql.database())
    other = Home(tmp_path / "other")
    restore(file, other)
    assert not (other.path / "farm.db").exists()
    with open_store(other.path) as store:
        assert len(list(store.runs(kit.JOB.id))) == 2
    assert back_up(other, again) == 5
    monkeypatch.delenv("LUTFARM_STORE")
    third = Home(tmp_path / "third")
    restore(again, third)
    with open_store(third.path) as store:
        assert [entry.folder for entry in store.queue()] == [str(third.submitted / "later-2")]


def test_a_home_that_is_used_and_a_profile_that_is_another_one_stay(whole: Home, profiles: Path, tmp_path: Path) -> None:
    file = tmp_path / "farm.tar"
    back_up(whole, file)
    before = rows_of(at(whole.path))
    with pytest.raises(SpecError, match="is not empty"):
        restore(file, whole)
    with pytest.raises(SpecError, match="is there already"):
        back_up(whole, file)
    with pytest.raises(SpecError, match="holds no farm"):
        back_up(Home(tmp_path / "config"), tmp_path / "other.tar")
    assert rows_of(at(whole.path)) == before
    (profiles / "mine.yaml").write_text("name: changed")
    (tmp_path / "empty").mkdir()
    assert restore(file, Home(tmp_path / "empty")).profiles_kept == ("mine",)
    assert (profiles / "mine.yaml").read_text() == "name: changed"


Entries = list[tuple[tarfile.TarInfo, bytes]]


def entries(file: Path) -> Entries:
    with tarfile.open(file) as tar:
        return [(entry, tar.extractfile(entry).read()) for entry in tar.getmembers()]  # type: ignore[union-attr]


def packed(file: Path, content: Entries) -> None:
    with tarfile.open(file, "w") as tar:
        for entry, data in content:
            tar.addfile(entry, io.BytesIO(data))


def named(content: Entries, name: str, data: bytes = b"x", **changes: Any) -> Entries:
    """With one more file, of which the manifest says nothing but what is true."""
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    for field, value in changes.items():
        setattr(entry, field, value)
    manifest = json.loads(content[0][1])
    from hashlib import sha256

    manifest["files"][name] = {"size": len(data), "sha256": sha256(data).hexdigest()}
    return [*with_manifest(content, manifest), (entry, data)]


def with_manifest(content: Entries, manifest: object) -> Entries:
    text = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
    first = tarfile.TarInfo("manifest.json")
    first.size = len(text)
    return [(first, text), *content[1:]]


def changed(content: Entries, **changes: Any) -> Entries:
    return with_manifest(content, json.loads(content[0][1]) | changes)


ODD: dict[str, tuple[Callable[[Entries], Entries], str]] = {
    "above": (lambda c: named(c, "../evil"), "holds '../evil', which no farm has"),
    "above, deep": (lambda c: named(c, "submitted/a/../../../evil"), "which no farm has"),
    "absolute": (lambda c: named(c, "/tmp/evil"), "which no farm has"),
    "dot": (lambda c: named(c, "keys/."), "which no farm has"),
    "a key's folder": (lambda c: named(c, "keys/a/b"), "which no farm has"),
    "program": (lambda c: named(c, "agents/run.pyz"), "which no farm has"),
    "profile": (lambda c: named(c, "profiles/x.yaml/../../y"), "which no farm has"),
    "large profile": (lambda c: named(c, "profiles/x.yaml", b"x" * 200_000), "larger than"),
    "symbolic link": (lambda c: named(c, "keys/x", b"", type=tarfile.SYMTYPE, linkname="/etc"), "not what its manifest says"),
    "hard link": (lambda c: named(c, "keys/x", b"", type=tarfile.LNKTYPE, linkname="farm.db"), "not what its manifest says"),
    "device": (lambda c: named(c, "keys/x", b"", type=tarfile.CHRTYPE), "not what its manifest says"),
    "holes": (
        lambda c: named(c, "keys/x", b"", pax_headers={"GNU.sparse.map": "0,0", "GNU.sparse.size": "9" * 12}),
        "not what its manifest says",
    ),
    "a file over another": (lambda c: named(named(c, "submitted/a"), "submitted/a/b"), "Not a directory|File exists"),
    "twice": (lambda c: [*c, c[1]], "not what its manifest says"),
    "unnamed": (lambda c: [*c, named(c, "keys/x")[-1]], "not what its manifest says"),
    "missing": (lambda c: c[:-1], "it ends before"),
    "no manifest": (lambda c: c[1:], "is no backup of a farm"),
    "other content": (lambda c: [*c[:-1], (c[-1][0], b"\1" * c[-1][0].size)], "does not have its checksum"),
    "version": (lambda c: changed(c, format=2), "of version 2; this lutfarm reads version 1"),
    "no home": (lambda c: changed(c, home=7), "does not say what a farm's does"),
    "no database": (lambda c: changed(c, files={}), "does not say what a farm's does"),
    "odd sizes": (lambda c: changed(c, files={"farm.db": {"size": "1", "sha256": "x"}}), "does not say what a farm's does"),
    "list": (lambda c: with_manifest(c, []), "manifest can't be read"),
    "text": (lambda c: with_manifest(c, b"\xff"), "manifest can't be read"),
    "deep": (lambda c: with_manifest(c, b"[" * 100_000), "manifest can't be read"),
    "endless": (lambda c: with_manifest(c, b" " * (65 << 20)), "is no backup of a farm"),
}


@pytest.mark.parametrize("odd", ODD)
def test_a_hostile_archive_restores_nothing(whole: Home, tmp_path: Path, odd: str) -> None:
    file, place = tmp_path / "farm.tar", tmp_path / "place"
    back_up(whole, file)
    change, said = ODD[odd]
    packed(file, change(entries(file)))
    place.mkdir()
    with pytest.raises((SpecError, StoreError), match=said):
        restore(file, Home(place / "home"))
    assert list(place.iterdir()) == []
    assert not (tmp_path / "evil").exists()


def test_what_is_no_archive_or_is_cut_off_or_packed_restores_nothing(whole: Home, tmp_path: Path) -> None:
    import gzip

    file, place = tmp_path / "farm.tar", tmp_path / "place"
    back_up(whole, file)
    content = file.read_bytes()
    place.mkdir()
    for odd in (b"", b"text" * 1000, content[:3000], content[: len(content) // 2], gzip.compress(content, 1), b"\0" * 20480):
        file.write_bytes(odd)
        with pytest.raises(SpecError, match=str(file)):
            restore(file, Home(place / "home"))
        assert list(place.iterdir()) == []
    with pytest.raises(SpecError, match="is not there"):
        restore(tmp_path / "none.tar", Home(place / "home"))


def test_a_disk_that_is_full_leaves_no_half_backup(whole: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup, "_write", full)
    with pytest.raises(StoreError, match="No space left on device; make room"):
        back_up(whole, tmp_path / "farm.tar")
    assert not list(tmp_path.glob("farm.tar*")) + list(tmp_path.glob(".*"))


@pytest.fixture
def broken(tmp_path: Path) -> Callable[..., list[tuple[str, str]]]:
    """What a check says of a sound store that statements changed."""

    def found(*statements: str) -> list[tuple[str, str]]:
        shutil.rmtree(tmp_path / "broken", ignore_errors=True)
        with open_store(tmp_path / "broken") as store:
            kit.fill(store)
        with closing(sqlite3.connect(tmp_path / "broken" / "farm.db")) as db:
            db.execute("PRAGMA foreign_keys=OFF")
            db.execute("UPDATE jobs SET spec_json = ?", (spec(),))
            for statement in statements:
                db.execute(statement)
            db.commit()
        with open_store(tmp_path / "broken", to_read=True) as store:
            return [(fault.where, fault.what) for fault in store.faults()]

    return found


def spec() -> str:
    from lutfarm_jobs.spec import parse_job

    content = {"name": "job", "workloads": [{"space": "fbnet-32"}], "devices": ["desk"], "backends": [{"runtime": "onnxruntime"}]}
    return parse_job(content, source="job.yaml").model_dump_json()


@pytest.mark.parametrize(
    ("statement", "where", "what"),
    [
        ("DELETE FROM fingerprints", "runs 1", "its fingerprint is not in fingerprints"),
        ("DELETE FROM environments WHERE number = (SELECT before FROM runs)", "runs 1", "its before is not in environments"),
        ("DELETE FROM jobs WHERE id = 'job-1'", "measurements job-1/0", "its job_id is not in jobs"),
        ("DELETE FROM jobs WHERE id = 'job-2'", "queued_jobs job-2", "its job_id is not in jobs"),
        ("DELETE FROM runs WHERE number = 2", "job_runs job-1/2", "its run is not in runs"),
        ("UPDATE runs SET slices = CAST(slices || x'00' AS BLOB)", "runs 1", "samples are damaged"),
        ("UPDATE runs SET content = '{' WHERE number = 2", "runs 2", "a stored Run is damaged"),
        ("UPDATE runs SET key = 'odd' WHERE number = 2", "runs 2", "is no measurement's key"),
        ("UPDATE runs SET device = 'other' WHERE number = 2", "runs 2", "its key is of desk, and it ran on other"),
        ('UPDATE fingerprints SET content = \'{"a":"b"}\'', "fingerprints 1", "does not have its checksum"),
        ("UPDATE measurements SET key = 'x' WHERE position = 1", "measurements job-1/1", "that of another measurement"),
        ("UPDATE jobs SET spec_json = '{}' WHERE id = 'job-2'", "jobs job-2", "stored job can't be read"),
        ("UPDATE jobs SET state = 'complete'", "jobs job-2", "in the queue although it is complete"),
        ("UPDATE device_checks SET fit = 2", "device_checks", "fit is neither true nor false in 1 rows"),
        ("UPDATE leases SET token = 'abc'", "leases desk", "leases.token holds a str"),
        ("UPDATE devices SET content = '[]'", "devices desk", "a stored Device is damaged"),
        ("UPDATE devices SET hello = '{}'", "devices desk", "a stored Hello is damaged"),
        ("UPDATE probes SET content = replace(content, 'conv_a', 'conv_b')", "probes ", "that of another probe"),
        ("UPDATE device_checks SET content = replace(content, 'desk', 'desc')", "device_checks desk/0", "of another device"),
    ],
)
def test_a_check_finds_what_is_wrong(broken: Callable[..., list[tuple[str, str]]], statement: str, where: str, what: str) -> None:
    assert broken() == []
    found = broken(statement)
    assert [each for each in found if each[0].startswith(where) and what in each[1]], found


def test_a_check_ends_where_too_much_is_wrong(broken: Callable[..., list[tuple[str, str]]]) -> None:
    many = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500) "
        "INSERT INTO job_probes (job_id, key, failed) SELECT 'none', i, 0 FROM n"
    )
    found = broken(many)
    assert len(found) == 1001
    assert "no more are looked for" in found[-1][1]


def test_damaged_pages_are_found(home: Home) -> None:
    with open_store(home.path):
        pass
    with closing(sqlite3.connect(home.path / "farm.db")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'ix_runs_round_id'").fetchone()
    with (home.path / "farm.db").open("r+b") as file:
        file.seek((page - 1) * 4096 + 3)
        file.write(b"\0\0")  # this index says that it is empty
    with open_store(home.path, to_read=True) as store:
        assert any("ix_runs_round_id" in fault.what for fault in store.faults())
