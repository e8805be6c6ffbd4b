"""SHA-256 of files."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from lutfarm_jobs.file_hash import copy, file_sha256, intact_size, is_sha256, sha256_of

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-4, example of one block
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_the_whole_file_counts_wherever_it_stands(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert file_sha256(tmp_path / "abc") == ABC
    with (tmp_path / "abc").open("rb") as file:
        file.read(2)
        assert sha256_of(file) == ABC
        target = io.BytesIO()
        assert copy(file, target) == (ABC, 3)
        assert target.getvalue() == b"abc"
    (tmp_path / "empty").touch()
    assert file_sha256(tmp_path / "empty") == EMPTY
    assert copy(io.BytesIO(), io.BytesIO()) == (EMPTY, 0)


def test_a_copy_of_more_than_one_piece_is_equal(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000  # 2.5 MB
    (tmp_path / "long").write_bytes(content)
    target = io.BytesIO()
    with (tmp_path / "long").open("rb") as file:
        assert copy(file, target) == (file_sha256(tmp_path / "long"), len(content))
    assert target.getvalue() == content


def test_a_file_is_intact_where_it_is_there_and_of_that_content(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert intact_size(tmp_path / "abc", ABC) == 3
    assert intact_size(tmp_path / "abc", EMPTY) is None
    assert intact_size(tmp_path / "none", ABC) is None
    assert intact_size(tmp_path, ABC) is None


@pytest.mark.parametrize("text", ["", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "a" * 64 + "\n"])
def test_what_is_no_sha256(text: str) -> None:
    assert is_sha256(ABC)
    assert not is_sha256(text)
