"""What transports do with answers that real devices seldom give: short copies, links that lead out, silence."""

from __future__ import annotations

import stat
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import paramiko
import pytest

from lutfarm_agents.address import SshAddress
from lutfarm_agents.process_identity import me
from lutfarm_agents.transports.adb.transport import AdbTransport
from lutfarm_agents.transports.adb.wire import MAX_DATA_BYTES, Connection
from lutfarm_agents.transports.interface import Completed, RemoteProcess
from lutfarm_agents.transports.remote import INTO_PLACE, RemoteTransport
from lutfarm_agents.transports.ssh import process
from lutfarm_agents.transports.ssh.transport import SshTransport
from lutfarm_jobs.errors import LinkLost, TransferFailed

ROOT = "/data/lutfarm"


class Scripted(RemoteTransport):
    """A device that answers every command with the same words."""

    def __init__(self, said: str) -> None:
        super().__init__(ROOT)
        self._said = said
        self.pulled: list[str] = []
        self.ended: list[str] = []

    def run(self, argv: Sequence[str], *, timeout_s: float = 1.0) -> Completed:
        return Completed(0, self._said.encode(), "")

    def _pull(self, remote: str, local: Path) -> None:
        self.pulled.append(remote)

    def _end(self, token: str) -> None:
        self.ended.append(token)

    def _start(self, command: str) -> RemoteProcess:
        raise LinkLost("not in this script")

    def _push(self, local: Path, remote: str) -> None:
        raise LinkLost("not in this script")

    def _is_file(self, remote: str) -> bool:
        return True

    def _connected(self) -> bool:
        return True

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("place", ["/etc", "/", "/data/lutfarm2", "/data"])
def test_nothing_is_fetched_through_a_folder_that_leads_out(tmp_path: Path, place: str) -> None:
    transport = Scripted(f"{ROOT}\n{place}\n")
    with pytest.raises(TransferFailed, match=f"leads to {place}"):
        transport.get(f"{ROOT}/models/secret", tmp_path / "here")
    assert transport.pulled == []
    assert list(tmp_path.iterdir()) == []


def test_what_another_machine_left_is_left_to_it() -> None:
    gone = replace(me(), pid=999_999_999)
    theirs, old = "a" * 32, "b" * 32
    transport = Scripted(f"{theirs} {replace(gone, place='0' * 16)}\n{old} {gone}\n{'c' * 32} {me().host}\n")
    assert transport.reap() == 1
    assert transport.ended == [old]


@pytest.mark.parametrize(
    ("commands", "asked"),
    [
        ({"fsync": 0, "sync": 0}, ["fsync new", "mv -f new name"]),
        ({"sync": 0}, ["sync new", "mv -f new name"]),
        ({"fsync": 1, "sync": 0}, ["fsync new", "sync new", "mv -f new name"]),
        ({"fsync": 1, "sync": 1}, ["fsync new", "sync new"]),
        ({}, []),
    ],
)
def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, commands: dict[str, int], asked: list[str]) -> None:
    log = tmp_path / "log"
    log.touch()
    for name, code in {"touch": 0, "chmod": 0, "mv": 0, **commands}.items():
        (tmp_path / name).write_text(f'#!/bin/sh\necho "{name} $*" >>"{log}"\nexit {code}\n')
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", "-c", INTO_PLACE, "sh", "new", "name"], env={"PATH": str(tmp_path)}, capture_output=True, check=False
    )
    assert [line for line in log.read_text().splitlines() if not line.startswith(("touch", "chmod"))] == asked
    assert (done.returncode == 0) is ("mv -f new name" in asked)


class Refusing:
    """A sync service that says FAIL to the first block, and reads on."""

    max_data = MAX_DATA_BYTES

    def __init__(self) -> None:
        words = b"No space left on device"
        self.written, self._said = 0, b"FAIL" + len(words).to_bytes(4, "little") + words

    def write(self, data: bytes) -> None:
        self.written += len(data)

    @property
    def waiting(self) -> bool:
        return self.written > 1000

    def read_exactly(self, count: int, timeout_s: float) -> bytes:
        data, self._said = self._said[:count], self._said[count:]
        return data

    def close(self) -> None:
        """It is done with."""


def test_a_phone_that_refuses_a_file_is_not_sent_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").write_bytes(bytes(4_000_000))
    stream = Refusing()
    transport = AdbTransport("127.0.0.1:1", root=ROOT, keys=tmp_path)
    connection = cast("Connection", SimpleNamespace(stream=lambda service: stream))
    monkeypatch.setattr(transport, "connection", lambda: connection)
    with pytest.raises(TransferFailed, match="the phone says 'No space left on device'"):
        transport._push(tmp_path / "model", f"{ROOT}/model")
    assert stream.written < 2 * MAX_DATA_BYTES


class Hop:
    """A connection that is open until it is closed."""

    def __init__(self) -> None:
        self.open = True

    def is_active(self) -> bool:
        return self.open

    def close(self) -> None:
        self.open = False


class File:
    """Takes everything."""

    def __enter__(self) -> File:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def set_pipelined(self, pipelined: bool) -> None:
        """As it likes."""

    def write(self, data: bytes) -> None:
        """Gone."""


def board(**calls: Callable[..., object]) -> tuple[SshTransport, Hop]:
    """A board whose SFTP does this."""
    hop, transport = Hop(), SshTransport(SshAddress("127.0.0.1", "root"), root=ROOT)
    transport._connections = [[cast("paramiko.Transport", hop)]]
    transport._sftp = cast("paramiko.SFTPClient", SimpleNamespace(open=lambda *_: File(), **calls))
    return transport, hop


def raising(error: Exception) -> Callable[..., object]:
    def call(*_: object) -> object:
        raise error

    return call


@pytest.mark.parametrize("arrived", [0, 2, 4])
def test_a_copy_of_another_length_is_no_copy(tmp_path: Path, arrived: int) -> None:
    (tmp_path / "model").write_bytes(b"abc")
    transport, _ = board(stat=lambda path: SimpleNamespace(st_size=arrived))
    with pytest.raises(TransferFailed, match=f"{arrived} of 3 bytes of"):
        transport._push(tmp_path / "model", f"{ROOT}/model")
    whole, _ = board(stat=lambda path: SimpleNamespace(st_size=3))
    whole._push(tmp_path / "model", f"{ROOT}/model")


def test_a_link_on_a_board_is_no_file() -> None:
    plain, link = (SimpleNamespace(st_mode=kind | 0o644) for kind in (stat.S_IFREG, stat.S_IFLNK))
    assert not board(lstat=lambda path: link, stat=lambda path: plain)[0].exists(f"{ROOT}/model")
    assert board(lstat=lambda path: plain, stat=lambda path: plain)[0].exists(f"{ROOT}/model")


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (TimeoutError(), False),
        (paramiko.SSHException("Expected response #3, got response #2"), False),
        (EOFError(), False),
        (PermissionError("not for you"), True),
    ],
)
def test_a_connection_whose_answer_may_come_later_is_ended(error: Exception, kept: bool) -> None:
    """Its answer would be taken for that of the next request; a refusal is an answer."""
    transport, hop = board(lstat=raising(error))
    with pytest.raises(TransferFailed):
        transport.exists(f"{ROOT}/model")
    assert hop.open is kept
    assert transport._connected() is kept


def test_a_request_that_is_not_answered_in_time_ends_its_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "ANSWER_S", 0.05)
    closed = threading.Event()
    channel = cast("paramiko.Channel", SimpleNamespace(settimeout=lambda seconds: None, close=closed.set))
    with process.answered(channel):
        assert closed.wait(30.0)


def test_an_answered_request_leaves_its_channel_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "ANSWER_S", 3600.0)
    before = threading.active_count()
    with process.answered(cast("paramiko.Channel", SimpleNamespace(settimeout=lambda seconds: None))):
        assert threading.active_count() == before + 1
        late = next(one for one in threading.enumerate() if isinstance(one, threading.Timer))
    late.join(30.0)
    assert not late.is_alive()
