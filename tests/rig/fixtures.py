"""Fixtures that tests of several folders share: the rig's phones and boards, booted once for a module."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.rig.board import Board, make_key
from tests.rig.machine import pythons
from tests.rig.network import is_root
from tests.rig.phone import Phone
from tests.rig.postgresql import PostgreSql

NEEDS_ROOT = "the rig makes network and mount namespaces, which needs root"
EMULATOR = "qemu-system-aarch64"


def needs_rig() -> None:
    """Skips, and says why, where there is no rig."""
    if not is_root():
        pytest.skip(NEEDS_ROOT)


def needs_emulator() -> None:
    """Skips, and says why, where no virtual board can be started."""
    if shutil.which(EMULATOR) is None:
        pytest.skip(f"no {EMULATOR}: install qemu-system-arm")


@pytest.fixture(scope="module")
def ssh_key(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A private key's file, and its public line."""
    path = tmp_path_factory.mktemp("ssh") / "id"
    return path, make_key(path)


@pytest.fixture(scope="module")
def phone() -> Iterator[Phone]:
    """A phone that shows this interpreter, so that tests may run Python on it."""
    needs_rig()
    with Phone("rig-phone", bind=pythons()) as found:
        yield found


@pytest.fixture(scope="module")
def board(ssh_key: tuple[Path, str]) -> Iterator[Board]:
    """A board that shows this interpreter."""
    needs_rig()
    with Board("rig-board", keys=[ssh_key[1]]) as found:
        yield found


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSql]:
    """A server for all tests of a worker; each makes a database of its own."""
    with PostgreSql() as found:
        yield found
