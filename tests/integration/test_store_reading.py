"""A store where nothing can be written, read as it stands: what is read, what is refused, what is left behind."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.store_kit import DESK, JOB, PLAN, run

from lutfarm.store import open_store
from lutfarm.store.sql import open as opening
from lutfarm.store.sql.open import open_reading
from lutfarm_jobs.errors import SpecError, StoreError, StoreUnwritable
from lutfarm_jobs.round import Lease

RUN = run()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database that everyone has closed: no WAL lies beside it."""
    home = tmp_path / "a home?mode=rw&x#1 %41"  # what an address could take for more than a name
    with open_store(home) as store:
        store.put_device(DESK)
        store.open_job(JOB, PLAN)
        lease = store.acquire("desk", owner="me 1 1.0", holder="x", now_s=0.0, ttl_s=10.0)
        assert isinstance(lease, Lease)
        store.commit([RUN], lease, JOB.id)
    return home / "farm.db"


@pytest.fixture
def left(file: Path, tmp_path: Path) -> Path:
    """As a killed writer leaves it: the newest is in the WAL alone."""
    place = tmp_path / "left"
    place.mkdir()
    with contextlib.closing(sqlite3.connect(file)) as held, open_store(file.parent) as writer:
        held.execute("SELECT * FROM devices").fetchall()  # the last one to leave would empty the WAL
        writer.put_device(replace(DESK, name="late"))
        for one in (file, file.with_name("farm.db-wal")):
            shutil.copy(one, place / one.name)
    return place / "farm.db"


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary files go."""
    place = tmp_path / "copies"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    assert list(place.iterdir()) == []  # whatever was read, nothing of it stays


def beside(file: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in file.parent.iterdir()}


def test_all_that_was_written_is_read_where_it_lies_and_nothing_is_made_beside_it(file: Path, copies: Path) -> None:
    before = beside(file)
    with open_reading(file) as store:
        assert list(store.devices()) == [DESK]
        assert list(store.runs(JOB.id)) == [RUN]
        assert list(copies.iterdir()) == []
        assert beside(file) == before
    assert beside(file) == before


def test_what_lies_in_the_wal_is_read_from_a_copy_that_goes_with_the_store(left: Path, copies: Path) -> None:
    before = beside(left)
    with open_reading(left) as store:
        assert [device.name for device in store.devices()] == ["desk", "late"]
        assert len(list(copies.iterdir())) == 1
        assert beside(left) == before
    assert beside(left) == before


def test_an_empty_wal_needs_no_copy(file: Path, copies: Path) -> None:
    file.with_name("farm.db-wal").touch()
    with open_reading(file) as store:
        assert list(store.devices()) == [DESK]
        assert list(copies.iterdir()) == []


@pytest.mark.parametrize("which", ["file", "left"])
def test_nothing_is_written_not_even_to_a_copy(which: str, copies: Path, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(which)
    before = beside(path)
    with open_reading(path) as store, pytest.raises(StoreError, match=r"farm\.db"):
        store.put_device(replace(DESK, name="new"))
    assert beside(path) == before


@pytest.mark.parametrize("which", ["file", "left"])
def test_what_another_version_wrote_is_not_guessed_at(which: str, copies: Path, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(which)
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE alembic_version SET version_num = 'older'")
    with pytest.raises(StoreUnwritable, match=r"farm\.db: another version wrote it.* make it writable"):
        open_reading(path)


def test_a_wal_that_can_be_copied_nowhere_is_said_with_what_to_do(
    left: Path, copies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copy2", full)
    with pytest.raises(StoreUnwritable, match=rf"farm\.db: can't be read .* {copies}: No space left on device; .* TMPDIR"):
        open_reading(left)


def test_who_only_reads_gets_it_where_nothing_can_be_written_and_who_writes_is_told(
    file: Path, copies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(home: Path) -> None:
        raise StoreUnwritable(f"{home}: Read-only file system")

    monkeypatch.setattr(opening, "_open", refuse)
    with open_store(file.parent, to_read=True) as store:
        assert list(store.devices()) == [DESK]
    with pytest.raises(StoreUnwritable, match="Read-only"):
        open_store(file.parent)


@pytest.mark.parametrize("name", ["typing-eror", "some-folder"])
@pytest.mark.parametrize("how", [{"to_read": True}, {"begun": True}])
def test_a_home_without_a_farm_is_refused_and_nothing_is_made_there(tmp_path: Path, name: str, how: dict[str, bool]) -> None:
    (tmp_path / "some-folder").mkdir()
    with pytest.raises(SpecError, match=rf"the home .*{name} .*: look for a typing error in --home .* lutfarm device register"):
        open_store(tmp_path / name, **how)
    assert [path.name for path in tmp_path.rglob("*")] == ["some-folder"]
