"""The zipapp is the same wherever and whenever it is built."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lutfarm_runner
from lutfarm_agents.provisioning.runner_zipapp import pack, runner_zipapp

SOURCES = Path(lutfarm_runner.__file__).parent


def test_it_is_named_by_its_content_and_built_once(tmp_path):
    path, sha256 = runner_zipapp(tmp_path / "new" / "folder")
    assert path.name == f"runner-{sha256}.pyz"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    before = path.stat().st_mtime_ns
    assert runner_zipapp(path.parent) == (path, sha256)
    assert path.stat().st_mtime_ns == before
    assert list(path.parent.iterdir()) == [path]


def test_two_places_build_the_same_bytes(tmp_path):
    one, other = runner_zipapp(tmp_path / "a")[0], runner_zipapp(tmp_path / "b")[0]
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("content", [b"", b"cut"])
def test_a_damaged_copy_is_replaced(tmp_path, content):
    path, sha256 = runner_zipapp(tmp_path)
    path.write_bytes(content)
    assert runner_zipapp(tmp_path) == (path, sha256)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def test_it_holds_the_package_and_nothing_else(archive):
    with zipfile.ZipFile(archive) as opened:
        names = opened.namelist()
        assert {entry.date_time for entry in opened.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    expected = {f"lutfarm_runner/{path.relative_to(SOURCES)}" for path in SOURCES.rglob("*.py")}
    assert set(names) == expected | {"__main__.py"}
    assert names == sorted(names)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}\.py", fullmatch=True), st.binary(max_size=50), max_size=5))
def test_the_order_of_the_files_does_not_matter(files):
    backwards = dict(reversed(list(files.items())))
    assert pack(files) == pack(backwards)
