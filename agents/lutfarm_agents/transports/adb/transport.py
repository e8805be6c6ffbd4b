"""Phones, through adbd: over TCP here; over USB with another carrier under the same protocol."""

# adb-shell has no type information.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from adb_shell.transport.base_transport import BaseTransport

from lutfarm_agents.transports import quiet_shell
from lutfarm_agents.transports.adb.carrier import Tcp
from lutfarm_agents.transports.adb.keys import signer
from lutfarm_agents.transports.adb.wire import Connection, Stream
from lutfarm_agents.transports.interface import RemoteProcess
from lutfarm_agents.transports.lines import TAIL_BYTES
from lutfarm_agents.transports.remote import RemoteTransport
from lutfarm_agents.transports.vendor import ignored, mapped
from lutfarm_jobs.errors import ConnectFailed, LinkError, LinkLost, NotReady, ReplyTimeout, SpecError, TransferFailed

REPLY_S = 8.0
CHUNK_BYTES = 64 * 1024  # the most that adbd takes of a file at once
STDIN, STDOUT, STDERR, EXIT = 0, 1, 2, 3
FRAME = struct.Struct("<BI")
REGULAR, KIND_MASK = 0o100000, 0o170000


class AdbTransport(RemoteTransport):
    """One phone, by `HOST:PORT` or by its serial number on USB; one connection, shared by all threads.

    `keys`: the folder of the farm's ADB keys.  `authorise_s`: how long somebody has to press Allow.
    """

    def __init__(self, serial: str, *, root: str, keys: Path, authorise_s: float = 1.0) -> None:
        super().__init__(root)
        self.serial = serial
        self._keys = keys
        self._authorise_s = authorise_s
        self._connecting = threading.Lock()
        self._connection: Connection | None = None

    def connection(self) -> Connection:
        """The open connection; made where there is none.  Raises ConnectFailed, NotReady."""
        with self._connecting:
            if self._connection is not None and self._connection.lost:
                self._connection.close()
                self._connection = None
            if self._connection is None:
                connection = Connection(_carrier(self.serial), self.serial)
                connection.open(signer(self._keys), authorise_s=self._authorise_s)
                try:
                    quiet_shell.check(lambda command: _shell(connection, command), self.serial)
                except (LinkError, NotReady):
                    connection.close()
                    raise
                self._connection = connection
            return self._connection

    def close(self) -> None:
        """Release the phone."""
        with self._connecting:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _connected(self) -> bool:
        return self._connection is not None and not self._connection.lost

    def _start(self, command: str) -> RemoteProcess:
        return _shell(self.connection(), command)

    def _push(self, local: Path, remote: str) -> None:
        stream = self.connection().stream("sync:")
        try:
            name = f"{remote},{REGULAR | 0o644}".encode()
            with local.open("rb") as file:
                stream.write(_request(b"SEND", name))
                block = bytearray()
                while data := file.read(CHUNK_BYTES):
                    block += b"DATA" + struct.pack("<I", len(data)) + data
                    if len(block) + CHUNK_BYTES + 8 > stream.max_data:
                        stream.write(bytes(block))
                        block.clear()
                        _raise_refusal(stream, remote)
                stream.write(bytes(block) + b"DONE" + struct.pack("<I", int(time.time())))
            kind, length = _reply(stream)
            if kind != b"OKAY":
                raise TransferFailed(_refusal(stream, kind, length, remote))
        finally:
            stream.close()

    def _pull(self, remote: str, local: Path) -> None:
        stream = self.connection().stream("sync:")
        try:
            stream.write(_request(b"RECV", remote.encode()))
            with local.open("wb") as file:
                while True:
                    kind, length = _reply(stream)
                    if kind == b"DONE":
                        return
                    if kind != b"DATA" or length > CHUNK_BYTES:
                        raise TransferFailed(_refusal(stream, kind, length, remote))
                    file.write(_exactly(stream, length))
        finally:
            stream.close()

    def _is_file(self, remote: str) -> bool:
        stream = self.connection().stream("sync:")
        try:
            stream.write(_request(b"STAT", remote.encode()))
            kind, mode = _reply(stream)
            if kind != b"STAT":
                raise TransferFailed(_refusal(stream, kind, mode, remote))
            _exactly(stream, 8)
            return mode & KIND_MASK == REGULAR
        finally:
            stream.close()


class ShellProcess:
    """A process behind adbd's shell v2: its streams are framed, its exit status is a frame too."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._raw = bytearray()
        self._out = bytearray()
        self._tail = bytearray()
        self._status: int | None = None
        self._ended = False
        self._sending = threading.Lock()
        self._reading = threading.Lock()

    def write(self, data: bytes, timeout_s: float) -> None:
        """All of it.  Raises LinkLost."""
        if self._status is not None:
            raise LinkLost("the process on the phone has ended")
        with self._sending:
            self._stream.write(FRAME.pack(STDIN, len(data)) + data, timeout_s)

    def read(self, timeout_s: float) -> bytes | None:
        """Some of its output; b"" at its end, None where none came.  Raises LinkLost."""
        with self._reading:
            self._fill(lambda: bool(self._out), timeout_s)
            data = bytes(self._out)
            self._out.clear()
            return data if data or self._ended else None

    def status(self, timeout_s: float) -> int | None:
        """Exit status, -n for signal n; None where it has not ended in time.  Raises LinkLost."""
        with self._reading:
            self._fill(lambda: self._status is not None, timeout_s)
            if self._status is None and self._ended:
                raise LinkLost("the phone closed the process's streams without an exit status")
            return self._status

    @property
    def stderr_tail(self) -> str:
        """The end of what it said there."""
        return self._tail.decode("utf-8", "replace")

    def close(self) -> None:
        """Let go of it."""
        self._stream.close()

    def _fill(self, enough: Callable[[], bool], timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not enough() and not self._ended:
            data = self._stream.read(max(0.0, deadline_s - time.monotonic()))
            if data is None:
                return
            if not data:
                self._ended = True
                return
            self._raw += data
            self._unpack()

    def _unpack(self) -> None:
        while len(self._raw) >= FRAME.size:
            kind, length = FRAME.unpack_from(self._raw)
            if length > 1 << 24:
                raise LinkLost(f"the phone announced a frame of {length} bytes")
            if len(self._raw) < FRAME.size + length:
                return
            data = bytes(self._raw[FRAME.size : FRAME.size + length])
            del self._raw[: FRAME.size + length]
            if kind == STDOUT:
                self._out += data
            elif kind == STDERR:
                self._tail += data
                del self._tail[:-TAIL_BYTES]
            elif kind == EXIT and data:
                # adbd says 128 + n where signal n ended the process, and so does a shell of its child.
                self._status = data[0] if data[0] <= 128 else 128 - data[0]


def _shell(connection: Connection, command: str) -> RemoteProcess:
    return ShellProcess(connection.stream(f"shell,v2,raw:{command}"))


def _carrier(serial: str) -> BaseTransport:
    host, colon, port = serial.rpartition(":")
    if colon and port.isdigit() and 0 < int(port) < 65536:
        return Tcp(host.strip("[]"), int(port))
    # USB differs from TCP in this line alone; it has not been tried, for want of a phone on a cable.
    try:
        from adb_shell.transport.usb_transport import UsbTransport  # needs libusb
    except (ImportError, OSError) as error:
        raise SpecError(f"phones on USB need libusb: pip install 'lutfarm[usb]' ({error})") from error
    with mapped(lambda words: ConnectFailed(f"no phone with the serial number {serial[:80]!r} is on USB: {words}")):
        return UsbTransport.find_adb(serial=serial)


def usb_serials() -> list[str]:
    """Serial numbers of the phones on this host's USB; none without libusb."""
    try:
        from adb_shell.transport.usb_transport import UsbTransport
    except (ImportError, OSError):
        return []
    with ignored():
        return [f"{found.serial_number}" for found in UsbTransport.find_all_adb_devices()]
    return []


def _request(kind: bytes, name: bytes) -> bytes:
    if len(name) > 1024:
        raise TransferFailed(f"a path of {len(name)} bytes is too long for adbd, which takes 1,024")
    return kind + struct.pack("<I", len(name)) + name


def _exactly(stream: Stream, count: int) -> bytes:
    return stream.read_exactly(count, REPLY_S)


def _reply(stream: Stream) -> tuple[bytes, int]:
    head = _exactly(stream, 8)
    return head[:4], struct.unpack("<I", head[4:])[0]


def _refusal(stream: Stream, kind: bytes, length: int, remote: str) -> str:
    said = kind.decode("ascii", "replace")
    if kind == b"FAIL":
        with suppress(LinkLost, ReplyTimeout):
            said = _exactly(stream, min(length, 1000)).decode("utf-8", "replace")
    return f"{remote[:200]} could not be copied: the phone says {said[:300]!r}"


def _raise_refusal(stream: Stream, remote: str) -> None:
    """adbd says FAIL as soon as it can't write, and then reads on: no need to send it the rest."""
    if stream.waiting:
        kind, length = _reply(stream)
        raise TransferFailed(_refusal(stream, kind, length, remote))
