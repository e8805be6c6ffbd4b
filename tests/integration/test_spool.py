"""What waits on a host's disk until it is stored."""

from __future__ import annotations

import os
import shutil
import stat
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.store_kit import run

from lutfarm.agent_pool import spool as spooling
from lutfarm.agent_pool.spool import MIB, Kept, Spool, SpoolLimits
from lutfarm.records.ordered import Ordered
from lutfarm_jobs.atomic_files import DRAFT
from lutfarm_jobs.errors import SpecError, TransferFailed

FARM, ORDERED = "f" * 32, Ordered("job-1", 100.25, 3)


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def kept(unit: str = "desk", farm: str = FARM, ordered: Ordered = ORDERED, **changes: Any) -> Kept:
    return Kept(farm, unit, ordered, run(device=unit, **changes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def spool(folder: Path) -> Spool:
    return Spool(folder, SpoolLimits())


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*/*"))


def test_what_is_kept_is_there_for_the_next_process_until_it_is_forgotten(spool: Spool, folder: Path) -> None:
    one, two = kept(started_s=2.5), kept(status="failed", slices=(), started_s=1.5)
    for each in (one, two, one):
        spool.keep(each)
    assert Spool(folder, SpoolLimits()).left(FARM, "desk") == [two, one]
    spool.forget("desk", [two.run.id, "never heard of"])
    assert Spool(folder, SpoolLimits()).left(FARM, "desk") == [one]
    spool.forget("desk", [one.run.id, two.run.id])
    assert spool.left(FARM, "desk") == []
    assert files(folder) == []
    assert list(spool.remarks()) == []


def test_what_was_ordered_under_older_leases_comes_first(spool: Spool) -> None:
    newer, older = kept(ordered=Ordered("b", 1.0, 12), started_s=1.0), kept(ordered=Ordered("a", 1.0, 9), started_s=2.0)
    for each in (newer, older):
        spool.keep(each)
    assert spool.left(FARM, "desk") == [older, newer]


@pytest.mark.parametrize("name", ["..", "a/b", "/etc", "", "Zürich\n", "x" * 5000])
def test_names_from_elsewhere_are_no_paths(spool: Spool, folder: Path, tmp_path: Path, name: str) -> None:
    odd = kept(unit=name, farm=name, id=name)
    spool.keep(odd)
    assert [path.name for path in tmp_path.iterdir()] == ["spool"]
    assert len(files(folder)) == 1
    assert spool.left(name, name) == [odd]
    spool.forget(name, [name])
    assert spool.left(name, name) == []


def test_each_farm_and_device_has_its_own(spool: Spool) -> None:
    mine, theirs, other = kept(), kept(farm="e" * 32), kept(unit="bench")
    for each in (mine, theirs, other):
        spool.keep(each)
    assert spool.left(FARM, "desk") == [mine]
    assert spool.left("e" * 32, "desk") == [theirs]
    spool.forget("desk", [other.run.id])
    assert spool.left(FARM, "bench") == [other]


def test_nobody_else_can_read_it(spool: Spool, folder: Path) -> None:
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    spool.keep(kept())
    (file,) = files(folder)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, file.parent.parent, file.parent, file)]
    assert modes == [0o700, 0o700, 0o700, 0o600]


def damaged(content: bytes) -> list[bytes]:
    """What a crash, a disk or a person may make of it."""
    return [b"", content[:40], content[:-1], content[:65], content.replace(b"100.25", b"100.26"), content + b" ", b"\n\n"]


@pytest.mark.parametrize("which", range(7))
def test_what_is_damaged_is_never_used_and_said_once(spool: Spool, folder: Path, which: int) -> None:
    spool.keep(whole := kept())
    spool.keep(other := kept())
    file = next(path for path in files(folder) if whole.run.id.encode() in path.read_bytes())
    torn = damaged(file.read_bytes())[which]
    assert torn != file.read_bytes()
    file.write_bytes(torn)
    assert spool.left(FARM, "desk") == [other]
    (said,) = spool.remarks()
    assert "damaged" in said
    assert str(file) in said
    assert spool.left(FARM, "desk") == [other]
    assert list(spool.remarks()) == []


def test_one_that_was_being_written_when_its_process_was_killed_is_never_used(spool: Spool, folder: Path) -> None:
    spool.keep(kept())
    (file,) = files(folder)
    file.rename(file.with_name(f"{DRAFT}{'0' * 16}"))
    assert spool.left(FARM, "desk") == []
    (said,) = spool.remarks()
    assert "not written whole" in said


def test_one_that_was_moved_to_another_device_or_farm_is_never_used(spool: Spool, folder: Path) -> None:
    for each in (kept(), kept(unit="bench"), kept(farm="e" * 32)):
        spool.keep(each)
    folders = {Path(path).parent for path in files(folder)}
    for file in files(folder):
        for other in folders - {file.parent}:
            shutil.copy(file, other / f"{file.name[:-1]}x")
    assert [len(spool.left(farm, unit)) for farm, unit in ((FARM, "desk"), (FARM, "bench"), ("e" * 32, "desk"))] == [1, 1, 1]


def test_a_full_spool_takes_no_more_rounds_and_keeps_what_it_has(folder: Path) -> None:
    small = Spool(folder, SpoolLimits(most_bytes=1500))
    small.require_room()
    first = kept()
    while True:
        small.keep(first)
        try:
            small.require_room()
        except TransferFailed as error:
            assert "LUTFARM_SPOOL_MIB" in error.detail
            assert str(folder) in error.detail
            break
        first = kept()
    waiting = small.left(FARM, "desk")
    assert first in waiting
    small.keep(late := kept())  # of a round that had begun before
    assert late in small.left(FARM, "desk")
    small.forget("desk", [each.run.id for each in [*waiting, late]])
    small.require_room()


def test_a_full_disk_takes_no_more_rounds(spool: Spool, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool.keep(before := kept())

    def almost(_: object) -> Usage:
        return Usage(1 << 40, (1 << 40) - spooling.FREE_BYTES + 1, spooling.FREE_BYTES - 1)

    monkeypatch.setattr(shutil, "disk_usage", almost)
    with pytest.raises(TransferFailed, match="make room"):
        spool.require_room()
    assert spool.left(FARM, "desk") == [before]


def test_a_disk_that_fills_while_a_result_is_written_harms_nothing_and_is_said(
    spool: Spool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.keep(before := kept())

    def full(*_: object, **__: object) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spooling, "replacing", full)
    spool.keep(kept())
    (said,) = spool.remarks()
    assert "No space left" in said
    assert spool.left(FARM, "desk") == [before]


def test_a_place_that_can_not_be_used_takes_no_rounds(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file")
    broken = Spool(tmp_path / "spool", SpoolLimits())
    with pytest.raises(TransferFailed, match="can't be used"):
        broken.require_room()
    broken.keep(kept())
    assert broken.left(FARM, "desk") == []
    broken.forget("desk", ["a"])
    assert list(broken.remarks())


def test_what_no_farm_fetched_in_time_is_removed_with_a_word(spool: Spool, folder: Path) -> None:
    spool.keep(old := kept(farm="e" * 32))
    (file,) = files(folder)
    spool.keep(new := kept())
    long_ago_s = time.time() - 31 * 86_400
    os.utime(file, (long_ago_s, long_ago_s))
    again = Spool(folder, SpoolLimits())
    assert (again.left(FARM, "desk"), again.left(old.farm_id, "desk")) == ([new], [])
    (said,) = again.remarks()
    assert "1 results that no farm fetched in 30 days" in said


@pytest.mark.parametrize(
    ("mib", "days", "limits"), [("", "", SpoolLimits(1024 * MIB, 30 * 86_400.0)), ("1", "365", SpoolLimits(MIB, 365 * 86_400.0))]
)
def test_its_bounds_are_set_by_the_environment(mib: str, days: str, limits: SpoolLimits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTFARM_SPOOL_MIB", mib)
    monkeypatch.setenv("LUTFARM_SPOOL_DAYS", days)
    assert SpoolLimits.from_environment() == limits


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "much", "1000000", "²"])
def test_bounds_that_are_no_numbers_are_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTFARM_SPOOL_DAYS", text)
    with pytest.raises(SpecError, match="LUTFARM_SPOOL_DAYS"):
        SpoolLimits.from_environment()
