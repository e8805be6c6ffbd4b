"""The store in trouble: kills, two at once, full and read-only disks, newer and damaged files."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from tests.store_kit import DESK, JOB, PLAN, run

from lutfarm.store import open_store
from lutfarm.store.sql import migrating
from lutfarm.store.sql.schema import metadata
from lutfarm_jobs.errors import StoreError, StoreNewer, StoreUnwritable
from lutfarm_jobs.round import Lease

HERE = Path(__file__).parents[2]
COMMIT_FOR_EVER = """
import sys
from pathlib import Path
from lutfarm.store import open_store
from tests.store_kit import JOB, PLAN, run
store = open_store(Path(sys.argv[1]))
store.open_job(JOB, PLAN)
lease = store.acquire("desk", owner=f"elsewhere {sys.argv[2]} 1.00", holder="x", now_s=0.0, ttl_s=0.0)
for _ in range(100_000):
    one = run()
    store.commit([one], lease, "job-1")
    print(one.id, flush=True)
"""

PLACE = "onnxruntime-cpu-t1-fp32/b1-steady"


def python(code: str, *args: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, args)], cwd=HERE, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_a_killed_writer_loses_nothing_that_it_was_told_is_there(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    for attempt in range(8):
        with python(COMMIT_FOR_EVER, tmp_path, attempt) as writer:
            assert writer.stdout is not None
            first = writer.stdout.readline()
            assert first, writer.stderr and writer.stderr.read()
            time.sleep(0.02 * attempt)
            writer.send_signal(signal.SIGKILL)
            acknowledged += [first.strip(), *(line.strip() for line in writer.stdout if len(line) == 33)]
    with open_store(tmp_path) as store:
        stored = [found.id for found in store.runs("job-1")]
    assert len(stored) == len(set(stored))
    assert set(acknowledged) <= set(stored)
    assert len(stored) - len(acknowledged) <= 8  # committed and not acknowledged: one a kill at most
    check = sqlite3.connect(tmp_path / "farm.db").execute("PRAGMA integrity_check").fetchall()
    assert check == [("ok",)]


def test_two_processes_open_a_new_store_at_once(tmp_path: Path) -> None:
    code = "import sys, pathlib, lutfarm.store\nprint(lutfarm.store.open_store(pathlib.Path(sys.argv[1])).farm_id)"
    both = [python(code, tmp_path / "new") for _ in range(3)]
    said = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0, 0], said
    assert len({out for out, _ in said}) == 1


def test_what_is_committed_has_reached_the_disk(tmp_path: Path) -> None:
    """No test can pull the plug: SQLite waits for the disk at each commit where it says 2, FULL, or more."""
    with open_store(tmp_path) as store:
        with store._read() as db:
            assert db.execute(text("PRAGMA synchronous")).scalar_one() >= 2
            assert db.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        with store._write() as db:
            assert db.execute(text("PRAGMA synchronous")).scalar_one() >= 2


def test_who_will_write_keeps_other_writers_out_from_its_first_look_on_and_who_reads_nobody(tmp_path: Path) -> None:
    with (
        open_store(tmp_path) as store,
        contextlib.closing(sqlite3.connect(tmp_path / "farm.db", timeout=0, isolation_level=None)) as other,
    ):
        with store._read() as db:
            db.execute(text("SELECT count(*) FROM runs")).scalar_one()
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
        with store._write() as db:
            db.execute(text("SELECT count(*) FROM runs")).scalar_one()
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")


def test_the_migrations_make_what_the_tables_say(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    with create_engine(f"sqlite:///{tmp_path}/farm.db").connect() as db:
        assert compare_metadata(MigrationContext.configure(db), metadata) == []


def test_the_newest_revision_is_the_last_one() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrating.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == migrating.NEWEST


def test_a_device_stored_with_fields_that_there_are_no_more_comes_back(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.put_device(DESK)
    with sqlite3.connect(tmp_path / "farm.db") as db:
        db.execute("""UPDATE devices SET content = json_set(content, '$.state', 'lost', '$.reason', 'no link')""")
    db.close()
    with open_store(tmp_path) as store:
        assert store.device("desk") == DESK
        assert store.device_record("desk", 1.0).state == "new"


def test_a_store_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    with sqlite3.connect(tmp_path / "farm.db") as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    db.close()
    before = (tmp_path / "farm.db").read_bytes()
    with pytest.raises(StoreNewer, match="9999"):
        open_store(tmp_path)
    assert (tmp_path / "farm.db").read_bytes() == before


@pytest.mark.parametrize("content", [b"not a database, but long enough for one" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "farm.db").write_bytes(content)
    with pytest.raises(StoreError, match=r"farm\.db"):
        open_store(tmp_path)
    assert (tmp_path / "farm.db").read_bytes() == content


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB, in a mount of its own."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a small file system needs the right to mount: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_ends_in_words_and_loses_nothing(small_disk: Path) -> None:
    store = open_store(small_disk)
    store.open_job(JOB, PLAN)
    lease = store.acquire("desk", owner="elsewhere 1 1.00", holder="x", now_s=0.0, ttl_s=60.0)
    assert isinstance(lease, Lease)
    stored: list[str] = []

    def fill() -> None:
        for _ in range(20_000):
            one = run(failure=None, slices=(), fingerprint={"x": os.urandom(2000).hex()})
            store.commit([one], lease, "job-1")
            stored.append(one.id)

    with pytest.raises(StoreUnwritable, match="make room"):
        fill()
    assert stored
    store.close()
    with sqlite3.connect(f"file:{small_disk}/farm.db?mode=ro", uri=True) as db:
        kept = {row[0] for row in db.execute("SELECT id FROM runs")}
    db.close()
    assert kept == set(stored)


def test_a_read_only_disk_ends_in_words(small_disk: Path) -> None:
    open_store(small_disk).close()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(StoreUnwritable, match="--home"), open_store(small_disk) as store:
        store.put_device(DESK)


def stored(home: Path) -> None:
    with open_store(home) as store:
        store.put_device(DESK)
        store.open_job(JOB, PLAN)
        lease = store.acquire("desk", owner="me 1 1.0", holder="x", now_s=0.0, ttl_s=10.0)
        assert isinstance(lease, Lease)
        store.commit([run()], lease, JOB.id)


@pytest.mark.parametrize("state", ["read-only", "full"])
def test_what_is_stored_where_nothing_can_be_written_is_read(small_disk: Path, tmp_path: Path, state: str) -> None:
    stored(small_disk)
    if state == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    else:
        with contextlib.suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 512)
    for words in (["status"], ["job", "show", "job"], ["job", "list"], ["device", "list"], ["device", "show", "desk"]):
        done = subprocess.run(
            [str(Path(sys.executable).with_name("lutfarm")), *words, "--json"],
            env={**os.environ, "LUTFARM_HOME": str(small_disk)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "desk" in done.stdout or "job-1" in done.stdout


def test_what_a_killed_writer_left_in_the_wal_is_read_too(small_disk: Path, tmp_path: Path) -> None:
    stored(tmp_path)
    with open_store(tmp_path) as writer, writer._read() as held:  # the last one to leave would empty the WAL
        held.exec_driver_sql("SELECT 1")
        writer.put_device(replace(DESK, name="late"))
        for name in ("farm.db", "farm.db-wal"):
            shutil.copy(tmp_path / name, small_disk / name)
    assert (small_disk / "farm.db-wal").stat().st_size > 0
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with open_store(small_disk, to_read=True) as store:
        assert [device.name for device in store.devices()] == ["desk", "late"]
        with pytest.raises(StoreError):
            store.put_device(DESK)
    with pytest.raises(StoreUnwritable):
        open_store(small_disk)


def test_a_home_that_can_not_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnwritable, match="--home"):
        open_store(tmp_path / "file" / "home")
