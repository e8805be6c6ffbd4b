"""A farm is backed up and restored; an archive is hostile until it is checked."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests import store_kit as kit
from tests.rig.fixtures import postgresql
from tests.rig.postgresql import PostgreSql

from lutfarm.home import Home
from lutfarm.records.queued_job import QueuedJob
from lutfarm.store import backup, open_store
from lutfarm.store.backup import back_up, restore
from lutfarm.store.sql.copying import NEWER
from lutfarm_jobs.errors import SpecError, StoreError
from lutfarm_jobs.round import Lease

__all__ = ["postgresql"]


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
    before, after = kit.rows_of(kit.sqlite_at(whole.path)), kit.rows_of(kit.sqlite_at(other.path))
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
    before = kit.rows_of(kit.sqlite_at(whole.path))
    with pytest.raises(SpecError, match="is not empty"):
        restore(file, whole)
    with pytest.raises(SpecError, match="is there already"):
        back_up(whole, file)
    with pytest.raises(SpecError, match="holds no farm"):
        back_up(Home(tmp_path / "config"), tmp_path / "other.tar")
    assert kit.rows_of(kit.sqlite_at(whole.path)) == before
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
