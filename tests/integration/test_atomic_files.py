"""Files that change as a whole: whatever happens, the old content or the new, and nothing beside it."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from lutfarm_jobs.atomic_files import DRAFT, STALE_S, publish, replace_all, replacing, sweep


@pytest.fixture
def umask_022() -> Generator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> set[str]:
    return {found.name for found in folder.iterdir()}


@pytest.mark.usefixtures("umask_022")
@pytest.mark.parametrize(
    ("mode", "while_written", "afterwards"), [(None, 0o644, 0o644), (0o600, 0o600, 0o600), (0o666, 0o600, 0o666)]
)
def test_permissions(tmp_path: Path, mode: int | None, while_written: int, afterwards: int) -> None:
    with replacing(tmp_path / "new", mode=mode) as file:
        assert mode_of(Path(file.name)) == while_written
    assert mode_of(tmp_path / "new") == afterwards


def test_the_old_content_is_there_until_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_text("old")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(tmp_path) == {"kept"}


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("another's")
    (tmp_path / "name").symlink_to("elsewhere")
    with replacing(tmp_path / "name") as file:
        file.write(b"new")
    assert (tmp_path / "elsewhere").read_text() == "another's"
    assert not (tmp_path / "name").is_symlink()
    assert (tmp_path / "name").read_text() == "new"


@pytest.mark.parametrize("end", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt(), GeneratorExit(), ZeroDivisionError()])
def test_what_ends_the_block_leaves_the_old_file_alone(tmp_path: Path, end: BaseException) -> None:
    (tmp_path / "kept").write_text("old")
    with pytest.raises(type(end)), replacing(tmp_path / "kept") as file:
        file.write(b"half")
        raise end
    assert (tmp_path / "kept").read_text() == "old"
    assert names(tmp_path) == {"kept"}


def test_a_killed_process_leaves_the_old_file_and_a_draft_that_is_swept_an_hour_later(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("old")
    code = (
        "import os, pathlib, signal, sys; from lutfarm_jobs.atomic_files import replacing\n"
        "with replacing(pathlib.Path(sys.argv[1])) as file:\n"
        "    file.write(b'half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "kept")], check=False).returncode == -signal.SIGKILL
    assert (tmp_path / "kept").read_text() == "old"
    (left,) = tmp_path.glob(f"{DRAFT}*")
    sweep(tmp_path)
    assert left.exists()
    long_ago_s = time.time() - STALE_S - 60
    for path in tmp_path.iterdir():
        os.utime(path, (long_ago_s, long_ago_s))
    sweep(tmp_path)
    assert names(tmp_path) == {"kept"}


def test_where_files_are_written_the_drafts_of_killed_writers_go_and_nothing_of_anybody_else(tmp_path: Path) -> None:
    others = {f"{DRAFT}letter.txt", f"{DRAFT}{'0' * 16}.txt", f"{DRAFT}{'1' * 16}"}  # the last one is being written now
    for name in (f"{DRAFT}{'0' * 16}", *others):
        (tmp_path / name).touch()
    long_ago_s = time.time() - STALE_S - 60
    for path in tmp_path.iterdir():
        if not path.name.endswith("1"):
            os.utime(path, (long_ago_s, long_ago_s))
    replace_all({tmp_path / "table.json": b"new"})
    assert names(tmp_path) == {"table.json", *others}


def test_nothing_is_swept_from_a_folder_that_is_not_there(tmp_path: Path) -> None:
    sweep(tmp_path / "none")
    assert names(tmp_path) == set()


def recorded(patch: pytest.MonkeyPatch) -> list[str]:
    """What is written to the disk and named, in order."""
    seen: list[str] = []

    def spied(call: Callable[..., object], word: Callable[..., str]) -> Callable[..., object]:
        def spy(*arguments: object) -> object:
            seen.append(word(*arguments))
            return call(*arguments)

        return spy

    patch.setattr(
        os, "fsync", spied(os.fsync, lambda fd: "folder synced" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file synced")
    )
    patch.setattr(Path, "replace", spied(Path.replace, lambda _, target: f"{target.name} named"))
    return seen


def test_a_durable_file_is_on_the_disk_before_it_has_its_name_and_then_the_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = recorded(monkeypatch)
    with replacing(tmp_path / "one") as file:
        file.write(b"1")
    assert seen == ["file synced", "one named", "folder synced"]
    (tmp_path / "draft").write_text("2")
    seen.clear()
    publish(tmp_path / "draft", tmp_path / "two", mode=0o640)
    assert seen == ["file synced", "two named", "folder synced"]
    assert (mode_of(tmp_path / "two"), (tmp_path / "two").read_text()) == (0o640, "2")
    seen.clear()
    with replacing(tmp_path / "three", durable=False) as file:
        file.write(b"3")
    assert seen == ["three named"]


def test_several_files_are_all_on_the_disk_before_the_first_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = recorded(monkeypatch)
    replace_all({tmp_path / "first": b"1", tmp_path / "second": b"2"})
    renames = [word for word in seen if word.endswith("named")]
    assert renames == ["first named", "second named"]
    assert seen[:2] == ["file synced", "file synced"]
    assert ((tmp_path / "first").read_bytes(), (tmp_path / "second").read_bytes()) == (b"1", b"2")


@pytest.mark.parametrize("syncs", [0, 1])
def test_a_disk_that_fills_up_leaves_every_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, syncs: int) -> None:
    paths = [tmp_path / "first", tmp_path / "second"]
    for path in paths:
        path.write_text("old")
    room = iter([None] * syncs)

    def sync(descriptor: int) -> None:
        if next(room, descriptor) is not None:
            raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", sync)
    with pytest.raises(OSError, match="full"):
        replace_all(dict.fromkeys(paths, b"new"))
    assert [path.read_text() for path in paths] == ["old", "old"]
    assert names(tmp_path) == {"first", "second"}


@pytest.mark.parametrize(("number", "raises"), [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EIO, True)])
def test_a_file_system_whose_folders_cant_be_synced_is_good_enough_and_a_broken_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, raises: bool
) -> None:
    def sync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", sync)
    try:
        replace_all({tmp_path / "one": b"1"})
        raised = False
    except OSError:
        raised = True
    assert raised == raises
    assert (tmp_path / "one").read_bytes() == b"1"
