"""What every transport does with files: they arrive whole, or not at all, and nowhere else."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from tests.rig.fixtures import board, phone, ssh_key
from tests.transport_kit import SHELL_CHARACTERS, WAIT_S, Place, place, python

from lutfarm_jobs.errors import TransferFailed

__all__ = ["board", "phone", "place", "ssh_key"]


def test_a_file_arrives_whole_and_comes_back(place: Place, tmp_path: Path) -> None:
    local = tmp_path / "model"
    local.write_bytes(b"\0\xff" * 1_000_000)
    remote = place.at("models/a.onnx")
    assert not place.transport.exists(remote)
    place.transport.put(local, remote)
    assert place.transport.exists(remote)
    place.transport.get(remote, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == local.read_bytes()


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 262_144, 1_000_003])
def test_files_of_all_sizes_are_whole(place: Place, tmp_path: Path, size: int) -> None:
    local = tmp_path / "model"
    local.write_bytes(os.urandom(size))
    place.transport.put(local, place.at("a"))
    place.transport.get(place.at("a"), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == local.read_bytes()


def test_a_file_is_replaced_and_nothing_is_left_beside_it(place: Place, tmp_path: Path) -> None:
    for content in (b"old and longer", b"new"):
        (tmp_path / "model").write_bytes(content)
        place.transport.put(tmp_path / "model", place.at("a"))
    assert (place.seen / "a").read_bytes() == b"new"
    assert [path.name for path in place.seen.iterdir()] == ["a"]


def test_a_failed_copy_says_so_and_keeps_what_was_there(place: Place, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"good")
    place.transport.put(tmp_path / "model", place.at("a"))
    with pytest.raises(TransferFailed, match="absent"):
        place.transport.put(tmp_path / "absent", place.at("a"))
    with pytest.raises(TransferFailed):
        place.transport.put(tmp_path, place.at("a"))
    with pytest.raises(TransferFailed):
        place.transport.get(place.at("absent"), tmp_path / "back")
    assert not (tmp_path / "back").exists()
    assert (place.seen / "a").read_bytes() == b"good"
    assert [path.name for path in place.seen.iterdir()] == ["a"]


@pytest.mark.parametrize("remote", ["a", "models/a", "/etc/lutfarm-test", "{root}/../a", "{root}/link/a", "", "{root}/a\n/b"])
def test_no_path_leads_out_of_the_devices_folder(place: Place, tmp_path: Path, remote: str) -> None:
    outside = place.seen.with_name(f"{place.seen.name}-outside")
    outside.mkdir()
    place.seen.mkdir()
    (place.seen / "link").symlink_to(f"{place.root}-outside")
    (tmp_path / "model").write_bytes(b"x")
    with pytest.raises(TransferFailed, match="inside"):
        place.transport.put(tmp_path / "model", remote.format(root=place.root))
    assert not list(outside.iterdir())
    assert [path.name for path in place.seen.iterdir()] == ["link"]


def test_a_link_or_a_folder_is_no_file(place: Place) -> None:
    place.seen.mkdir()
    (place.seen / "file").write_bytes(b"x")
    (place.seen / "link").symlink_to("file")
    (place.seen / "folder").mkdir()
    assert place.transport.exists(place.at("file"))
    assert not place.transport.exists(place.at("link"))
    assert not place.transport.exists(place.at("folder"))


def test_names_are_never_read_by_a_shell(place: Place, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"x")
    remote = place.at(f"{SHELL_CHARACTERS}/{SHELL_CHARACTERS}")
    place.transport.put(tmp_path / "model", remote)
    assert place.transport.exists(remote)
    place.transport.get(remote, tmp_path / "back")
    words = [SHELL_CHARACTERS, "-n", "", "$HOME", "zwölf"]
    code = "import sys, os, json; print(json.dumps([sys.argv[1:], os.environ['X']]))"
    with place.transport.spawn([*python(code), *words], env={"X": SHELL_CHARACTERS}) as channel:
        assert json.loads(channel.receive(WAIT_S)) == [words, SHELL_CHARACTERS]
    assert not list(place.seen.rglob("pwned"))


def test_what_broken_copies_left_is_removed_once_no_copy_can_still_write_it(place: Place, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"x")
    place.transport.put(tmp_path / "model", place.at("bundles/kept"))
    place.transport.put(tmp_path / "model", place.at("models/kept"))
    long_ago_s = time.time() - 3700
    for name in (
        ".incoming-0123456789abcdef",
        "models/.incoming-0123456789abcdef",
        "models/old",
        "bundles/.incoming-0123456789abcdef",
    ):
        (place.seen / name).write_bytes(b"half")
        os.utime(place.seen / name, (long_ago_s, long_ago_s))
    (place.seen / "models" / ".incoming-456789abcdef0123").write_bytes(b"somebody is copying it")
    assert place.transport.reap() == 0
    names = {str(path.relative_to(place.seen)) for path in place.seen.rglob("*") if path.is_file()}
    assert names == {"bundles/kept", "models/kept", "models/old", "models/.incoming-456789abcdef0123"}


@pytest.mark.parametrize("place", ["adb", "ssh"], indirect=True)  # a bundle is for phones and boards
def test_a_half_unpacked_bundle_is_removed_with_its_archive(place: Place) -> None:
    bundles = place.seen / "bundles"
    for name in ("dead.part/usr", "live.part/usr", "whole/usr"):
        (bundles / name).mkdir(parents=True)
    long_ago_s = time.time() - 3700
    for name in ("dead.tar", "whole/usr/data.tar", "live.tar"):
        (bundles / name).write_bytes(b"x")
    for name in ("dead.tar", "whole/usr/data.tar"):
        os.utime(bundles / name, (long_ago_s, long_ago_s))
    place.transport.reap()
    assert {path.name for path in bundles.iterdir()} == {"live.part", "live.tar", "whole"}
    assert (bundles / "whole" / "usr" / "data.tar").exists()
