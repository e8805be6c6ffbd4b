"""Whatever a transport's library raises, and wherever: a caller sees errors of ours and nothing else."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import pkgutil
import socket
import struct
import subprocess
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import adb_shell
import paramiko
import pytest
from adb_shell import constants
from tests.rig.board import make_key

from lutfarm_agents.address import HostKey, SshAddress
from lutfarm_agents.transports import quiet_shell
from lutfarm_agents.transports.adb import keys
from lutfarm_agents.transports.adb import transport as adb
from lutfarm_agents.transports.adb.transport import AdbTransport
from lutfarm_agents.transports.adb.wire import HEADER, VERSION
from lutfarm_agents.transports.local import LocalTransport
from lutfarm_agents.transports.remote import RemoteTransport
from lutfarm_agents.transports.ssh import login
from lutfarm_agents.transports.ssh.login import host_keys
from lutfarm_agents.transports.ssh.transport import SshTransport
from lutfarm_jobs.errors import FarmError

ROOT = "/lutfarm"
FOREIGN: tuple[type[BaseException], ...] = (
    OSError,
    EOFError,
    struct.error,
    zlib.error,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    AssertionError,
    RuntimeError,
    MemoryError,
    UnicodeDecodeError,
    socket.timeout,
    socket.gaierror,
    BrokenPipeError,
    ConnectionResetError,
    subprocess.SubprocessError,
)


def raised_by(library: ModuleType) -> list[type[BaseException]]:
    """Every exception class that a library's modules name, those of the libraries below it as well."""
    found: dict[type[BaseException], None] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for info in pkgutil.walk_packages(library.__path__, f"{library.__name__}."):
            try:
                module = importlib.import_module(info.name)
            except (ImportError, AttributeError):  # for Windows, or for a library that is not installed
                continue
            for value in vars(module).values():
                if isinstance(value, type) and issubclass(value, Exception):
                    found[value] = None
    return list(found)


def made(kind: type[BaseException]) -> BaseException:
    """An exception of that class, with as many arguments as it takes."""
    if kind is UnicodeDecodeError:
        return UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no text")
    for count in range(5):
        with contextlib.suppress(TypeError, AttributeError, IndexError, ValueError):
            return kind(*["said"] * count)
    return kind.__new__(kind)  # its __str__ reads what is not there


OF_SSH = [*raised_by(paramiko), *FOREIGN]
OF_ADB = [*raised_by(adb_shell), *FOREIGN]


def test_the_libraries_have_the_exceptions_that_had_no_root_in_common() -> None:
    names = {kind.__name__ for kind in OF_SSH + OF_ADB}
    assert {"SFTPError", "SSHException", "BERException", "NeedRekeyException"} <= names
    assert {"TcpTimeoutException", "UsbReadFailedError"} <= names
    assert len(OF_SSH) > 30
    assert len(OF_ADB) > 25


RESULTS: Mapping[str, object] = {
    "recv": b"",
    "read": b"",
    "recv_ready": True,
    "recv_stderr_ready": False,
    "is_active": True,
    "exit_status_ready": False,
    "is_authenticated": True,
    "get_name": "ssh-ed25519",
    "get_base64": "AAAA",
    "send": 1,
}


class Vendor:
    """Does what is asked without complaint, whatever it is taken for; but one call raises."""

    exit_status, eof_received, closed, st_size, st_mode, key_types = 0, False, False, 3, 0o100644, ("ssh-ed25519",)

    def __init__(self, point: str, error: BaseException) -> None:
        self.point, self.error = point, error
        self.status_event = threading.Event()
        self.status_event.set()
        self.in_buffer = self.in_stderr_buffer = self

    def __getattr__(self, name: str) -> Callable[..., object]:
        def call(*_: object, **__: object) -> object:
            if name == self.point:
                raise self.error
            return [self] if name == "get_keys" else RESULTS.get(name, self)

        return call

    def __enter__(self) -> Vendor:
        return self

    def __exit__(self, *_: object) -> None:
        if self.point == "__exit__":
            raise self.error


def calls(transport: RemoteTransport, folder: Path) -> Iterator[Callable[[], object]]:
    """Everything that a transport is asked for, and what lies below its checks."""
    (folder / "model").write_bytes(b"abc")

    def spawn() -> None:
        with transport.spawn(["true"], env={}) as channel:
            channel.send("line")
            channel.receive(0.05)
            channel.wait(0.05)

    def process() -> None:
        started = transport._start("true")
        started.read(0.05)
        started.status(0.05)
        started.write(b"x", 0.05)
        started.close()

    yield lambda: transport.run(["true"], timeout_s=0.2)
    yield lambda: transport.put(folder / "model", f"{ROOT}/model")
    yield lambda: transport.get(f"{ROOT}/model", folder / "back")
    yield lambda: transport.exists(f"{ROOT}/model")
    yield lambda: transport._push(folder / "model", f"{ROOT}/model")
    yield lambda: transport._pull(f"{ROOT}/model", folder / "back")
    yield spawn
    yield process
    yield transport.reap
    yield transport.close


def attempt(what: Callable[[], object]) -> None:
    with contextlib.suppress(FarmError):
        what()


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet_shell, "check", lambda start, name: None)
    monkeypatch.setattr("lutfarm_agents.transports.ssh.transport.CONNECT_S", 0.05)
    monkeypatch.setattr("lutfarm_agents.transports.ssh.transport.FREED_S", 0.0)
    monkeypatch.setattr("lutfarm_agents.transports.ssh.transport.MOST_CONNECTIONS", 1)
    monkeypatch.setattr("lutfarm_agents.transports.remote.START_S", 0.05)
    monkeypatch.setattr(paramiko, "SFTPClient", lambda channel: channel)


IN_USE = [
    "open_session",
    "exec_command",
    "invoke_subsystem",
    "send",
    "recv",
    "settimeout",
    "open",
    "lstat",
    "stat",
    "write",
    "read",
    "set_pipelined",
    "prefetch",
    "close",
    "__exit__",
]


@pytest.mark.parametrize("point", IN_USE)
def test_a_connection_in_use(point: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_waiting: None) -> None:
    for kind in OF_SSH:
        monkeypatch.setattr(
            "lutfarm_agents.transports.ssh.transport.connect", lambda address, kind=kind: [Vendor(point, made(kind))]
        )
        transport = SshTransport(SshAddress("127.0.0.1", "root"), root=ROOT)
        for call in calls(transport, tmp_path):
            attempt(call)


LOGIN = [
    "start_client",
    "set_keepalive",
    "get_remote_server_key",
    "get_security_options",
    "auth_publickey",
    "is_authenticated",
    "is_active",
    "close",
    "open_channel",
]


@pytest.mark.parametrize("point", LOGIN)
def test_a_login(point: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = str(tmp_path / "id")
    make_key(tmp_path / "id")
    hop = SshAddress("127.0.0.1", "root", key_file=key, host_key=HostKey("ssh-ed25519", "AAAA"))
    behind = SshAddress("127.0.0.1", "root", key_file=key, jump=hop)
    monkeypatch.setattr(login, "_direct", lambda hop: None)
    for kind in OF_SSH:
        monkeypatch.setattr(paramiko, "Transport", lambda *_, kind=kind, **__: Vendor(point, made(kind)))
        for address in (hop, behind):
            attempt(lambda address=address: login.connect(address))
            attempt(lambda address=address: host_keys(address))


@pytest.mark.parametrize("where", ["paramiko.Agent", "paramiko.PKey.from_path", "paramiko.Transport", "socket.create_connection"])
def test_what_a_login_needs(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    make_key(tmp_path / ".ssh" / "id_ed25519")
    if where != "socket.create_connection":
        monkeypatch.setattr(login, "_direct", lambda hop: None)
    if where != "paramiko.Transport":
        monkeypatch.setattr(paramiko, "Transport", lambda *_, **__: Vendor("auth_publickey", paramiko.AuthenticationException()))
    for kind in OF_SSH:

        def refuse(*_: object, kind: type[BaseException] = kind, **__: object) -> None:
            raise made(kind)

        monkeypatch.setattr(where, refuse)
        for key in [""] if where == "paramiko.Agent" else ["", str(tmp_path / ".ssh" / "id_ed25519")]:
            with pytest.raises(FarmError):
                login.connect(SshAddress("127.0.0.1", "root", key_file=key, port=1))


class Carrier:
    """Carries a handshake that works, unless it is to fail before; what comes later fails at one point."""

    def __init__(self, point: str, error: BaseException) -> None:
        self.point, self.error = point, error
        banner = b"device::features=shell_v2\0"
        number = constants.ID_TO_WIRE[constants.CNXN]
        self.left = HEADER.pack(number, VERSION, 4096, len(banner), 0, number ^ 0xFFFFFFFF) + banner
        self.closed = threading.Event()

    def _at(self, point: str) -> None:
        if point == self.point:
            raise self.error

    def connect(self, timeout_s: float | None) -> None:
        self._at("connect")

    def bulk_read(self, count: int, timeout_s: float | None) -> bytes:
        self._at("first read")
        if not self.left:
            self._at("later read")
            self.closed.wait()
            return b""
        data, self.left = self.left[:count], self.left[count:]
        return data

    def bulk_write(self, data: bytes, timeout_s: float | None) -> int:
        self._at("first write")
        if not self.left:
            self._at("later write")
        return len(data)

    def close(self) -> None:
        self.closed.set()
        self._at("close")


@pytest.mark.parametrize("point", ["connect", "first read", "first write", "later read", "later write", "close"])
def test_a_phone(point: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_waiting: None) -> None:
    monkeypatch.setattr("lutfarm_agents.transports.adb.wire.WRITE_S", 0.01)
    monkeypatch.setattr(keys, "signer", lambda folder: None)
    monkeypatch.setattr(adb, "signer", lambda folder: None)
    for kind in OF_ADB:
        carrier = Carrier(point, made(kind))
        monkeypatch.setattr(adb, "_carrier", lambda serial, carrier=carrier: carrier)
        transport = AdbTransport("127.0.0.1:1", root=ROOT, keys=tmp_path)
        for call in calls(transport, tmp_path):
            attempt(call)
        attempt(transport.close)
        carrier.closed.set()


@pytest.mark.parametrize("where", ["keygen", "CryptographySigner"])
def test_the_key_for_phones(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in OF_ADB:

        def refuse(*_: object, kind: type[BaseException] = kind) -> None:
            raise made(kind)

        monkeypatch.setattr(keys, where, refuse)
        with pytest.raises(FarmError, match=r"the ADB key .* can't be used"):
            keys.signer(tmp_path / where)


NUMBERS = [
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EAGAIN,
    errno.EINTR,
    errno.ETXTBSY,
    errno.ENOEXEC,
    errno.E2BIG,
    errno.ESTALE,
    errno.ETIMEDOUT,
]


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (os, "fsync"),
        (Path, "touch"),
        (subprocess, "Popen"),
        (Path, "mkdir"),
        (Path, "open"),
        (Path, "chmod"),
        (Path, "replace"),
        (Path, "unlink"),
        (Path, "is_file"),
        (Path, "resolve"),
    ],
)
def test_this_machine(owner: Any, name: str, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"abc")
    transport = LocalTransport(tmp_path / "device")
    at = str(tmp_path / "device" / "model")
    transport.put(tmp_path / "model", at)

    def spawn() -> None:
        with transport.spawn(["cat"], env={}) as channel:
            channel.send("line")
            channel.receive(2.0)

    errors = [OSError(number, os.strerror(number)) for number in NUMBERS]
    for error in [*errors, *[made(kind) for kind in (ValueError, subprocess.SubprocessError) if name == "Popen"]]:

        def refuse(*_: object, error: BaseException = error, **__: object) -> None:
            raise error

        for call in (
            lambda: transport.run(["true"]),
            lambda: transport.put(tmp_path / "model", at),
            lambda: transport.get(at, tmp_path / "back"),
            lambda: transport.exists(at),
            transport.reap,
            spawn,
        ):
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(owner, name, refuse)
                attempt(call)
    assert transport.exists(at)
