"""The ADB protocol as adb-shell packs it, with streams that several threads may use at once.

adb-shell's own AdbDevice reads in whichever thread calls it, spins for 10 s when the phone goes away, and cuts long
writes; so only its sockets, messages and keys are used.  One thread reads here and gives each stream what is its own.
"""

# adb-shell has no type information.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import contextlib
import struct
import threading
import time
from typing import Protocol

from adb_shell import constants
from adb_shell.transport.base_transport import BaseTransport

from lutfarm_agents.transports.adb.carrier import carried
from lutfarm_agents.transports.vendor import ignored, mapped
from lutfarm_jobs.errors import ConnectFailed, LinkError, LinkLost, NotReady, ReplyTimeout, Unauthorized

CONNECT_S = 5.0
WRITE_S = 8.0  # a phone that takes nothing for so long is lost
VERSION = 0x01000001  # from this version on nobody checks the sums of messages
MAX_DATA_BYTES = 256 * 1024
BUFFER_BYTES = 4 << 20  # of one stream; the phone waits when it is full
HEADER = struct.Struct("<6I")


class Signer(Protocol):
    """adb-shell's: signs a token, shows the public key."""

    def Sign(self, data: bytes) -> bytes: ...  # noqa: N802, D102

    def GetPublicKey(self) -> bytes: ...  # noqa: N802, D102


class Connection:
    """One authorised connection to a phone's adbd."""

    def __init__(self, carrier: BaseTransport, name: str) -> None:
        self.name = name
        self.banner = ""
        self._carrier = carrier
        self._max_data = 4096
        self._sending = threading.Lock()
        self._streams: dict[int, Stream] = {}
        self._streams_lock = threading.Lock()
        self._next_id = 1
        self._failure = ""
        self._reader = threading.Thread(target=self._read_all, name=f"adb {name}"[:60], daemon=True)

    def open(self, signer: Signer, *, authorise_s: float) -> None:
        """Connect and be let in.

        Raises ConnectFailed (offline), Unauthorized (somebody must press a button on the phone; waited for
        authorise_s).
        """
        try:
            with mapped(LinkLost):
                self._carrier.connect(CONNECT_S)
            self._shake_hands(signer, authorise_s)
        except ReplyTimeout as error:
            self._let_go()
            raise ConnectFailed(
                f"{self.name} is offline: it accepted a connection and did not answer within {CONNECT_S:g} s; "
                "switch USB debugging off and on again, or restart the phone"
            ) from error
        except LinkLost as error:
            self._let_go()
            raise ConnectFailed(f"{self.name} is offline: {error}; is it switched on, in reach, and debugging on?") from error
        except (NotReady, ConnectFailed):
            self._let_go()
            raise
        self._reader.start()

    @property
    def lost(self) -> str:
        """Why it can't be used any more, or empty."""
        return self._failure

    @property
    def max_data(self) -> int:
        """Bytes of one message at most."""
        return self._max_data

    def stream(self, service: str) -> Stream:
        """Open a service of adbd.  Raises LinkLost, ReplyTimeout."""
        with self._streams_lock:
            number, self._next_id = self._next_id, self._next_id + 1
            stream = self._streams[number] = Stream(self, number)
        self.send(constants.OPEN, number, 0, service.encode() + b"\0")
        try:
            stream.await_open(WRITE_S)
        except (LinkLost, ReplyTimeout):
            self.forget(stream)
            raise
        return stream

    def send(self, command: bytes, arg0: int, arg1: int, data: bytes = b"") -> None:
        """One message, whole.  Raises LinkLost."""
        if self._failure:
            raise LinkLost(self._failure)
        with self._sending:
            try:
                self._write(_pack(command, arg0, arg1, data))
                self._write(data)
            except LinkError as error:
                self.fail(f"{self.name} takes nothing any more: {error}")
                raise LinkLost(self._failure) from error

    def forget(self, stream: Stream) -> None:
        """The stream is closed."""
        with self._streams_lock:
            self._streams.pop(stream.number, None)

    def fail(self, why: str) -> None:
        """The connection is lost: every stream learns it."""
        with self._streams_lock:
            self._failure = self._failure or why
            streams = list(self._streams.values())
        for stream in streams:
            stream.fail(self._failure)

    def close(self) -> None:
        """Let go of the phone."""
        self.fail(f"the connection to {self.name} was closed")
        self._let_go()
        if self._reader.is_alive() and self._reader is not threading.current_thread():
            self._reader.join(timeout=2.0)

    def _let_go(self) -> None:
        with ignored():
            self._carrier.close()

    def _write(self, data: bytes) -> None:
        """Raises LinkLost, ReplyTimeout."""
        deadline_s = time.monotonic() + WRITE_S
        rest = memoryview(data)
        while rest:
            with carried():
                rest = rest[self._carrier.bulk_write(bytes(rest), max(0.001, deadline_s - time.monotonic())) :]

    def _shake_hands(self, signer: Signer, authorise_s: float) -> None:
        self._write(_pack(constants.CNXN, VERSION, MAX_DATA_BYTES, b"host::features=shell_v2\0"))
        self._write(b"host::features=shell_v2\0")
        command, arg0, arg1, data = self._read_message(CONNECT_S)
        for attempt in range(3):
            if command != constants.AUTH:
                break
            if arg0 != constants.AUTH_TOKEN or len(data) != 20:
                raise ConnectFailed(f"{self.name} asks for an authorisation that is none")
            if attempt == 0:
                answer, kind, wait_s = signer.Sign(data), constants.AUTH_SIGNATURE, CONNECT_S
            elif attempt == 1:
                answer, kind, wait_s = signer.GetPublicKey() + b"\0", constants.AUTH_RSAPUBLICKEY, authorise_s
            else:
                raise Unauthorized(self._unauthorized())
            self._write(_pack(constants.AUTH, kind, 0, answer) + answer)
            try:
                command, arg0, arg1, data = self._read_message(wait_s)
            except ReplyTimeout as error:
                if attempt == 1:
                    raise Unauthorized(self._unauthorized()) from error
                raise
        if command != constants.CNXN:
            raise NotReady(
                f"{self.name} wants another kind of connection ({command.decode('ascii', 'replace')}): this is wireless "
                "debugging with pairing, which lutfarm does not speak; use USB, or once by USB: adb tcpip 5555"
            )
        self.banner = data.rstrip(b"\0").decode("utf-8", "replace")[:4000]
        self._max_data = min(max(4096, arg1), MAX_DATA_BYTES)
        if "shell_v2" not in self.banner:
            raise NotReady(f"{self.name} has no shell v2 (Android 7 and newer has): its banner is {self.banner[:200]!r}")

    def _unauthorized(self) -> str:
        return (
            f"{self.name} is unauthorized: unlock the phone, tick `Always allow from this computer` and press Allow, "
            "then repeat the command; where no question shows: Developer options, Revoke USB debugging authorisations"
        )

    def _read_all(self) -> None:
        try:
            while True:
                command, arg0, arg1, data = self._read_message(None)
                self._dispatch(command, arg0, arg1, data)
        except LinkError as error:
            self.fail(f"{self.name} went away: {error.detail}")

    def _dispatch(self, command: bytes, arg0: int, arg1: int, data: bytes) -> None:
        with self._streams_lock:
            stream = self._streams.get(arg1)
        if stream is None:
            if command == constants.WRTE:  # of a stream that was closed meanwhile
                self.send(constants.CLSE, 0, arg0)
        elif command == constants.OKAY:
            stream.taken(arg0)
        elif command == constants.WRTE:
            stream.arrived(data)
        elif command == constants.CLSE:
            self.forget(stream)
            stream.closed()

    def _read_message(self, timeout_s: float | None) -> tuple[bytes, int, int, bytes]:
        command, arg0, arg1, length, _, magic = HEADER.unpack(self._read_exactly(HEADER.size, timeout_s))
        if magic != command ^ 0xFFFFFFFF or length > 2 * MAX_DATA_BYTES:
            raise ConnectFailed(f"{self.name} does not speak ADB: it sent {command:#x}, {length} bytes")
        data = self._read_exactly(length, WRITE_S) if length else b""
        return struct.pack("<I", command), arg0, arg1, data

    def _read_exactly(self, count: int, timeout_s: float | None) -> bytes:
        """USB delivers a message's header and its data in transfers of their own, so neither is read ahead."""
        found = bytearray()
        while len(found) < count:
            with carried():
                data = self._carrier.bulk_read(count - len(found), timeout_s)
            if not data:
                raise LinkLost("the connection was closed from the other side")
            found += data
        return bytes(found)


class Stream:
    """One service of a connection."""

    def __init__(self, connection: Connection, number: int) -> None:
        self.number = number
        self._connection = connection
        self._remote = 0
        self._changed = threading.Condition()
        self._buffer = bytearray()
        self._may_write = False
        self._owes_okay = False
        self._ended = False
        self._failure = ""

    # Called by the connection's thread

    def taken(self, remote: int) -> None:
        """The phone opened the stream, or took what was written."""
        with self._changed:
            self._remote = self._remote or remote
            self._may_write = True
            self._changed.notify_all()

    def arrived(self, data: bytes) -> None:
        """Output; where too much waits to be read the phone is not asked for more."""
        with self._changed:
            self._buffer += data
            self._owes_okay = len(self._buffer) > BUFFER_BYTES
            owes = self._owes_okay
            self._changed.notify_all()
        if not owes:
            self._connection.send(constants.OKAY, self.number, self._remote)

    def closed(self) -> None:
        """The phone closed it."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def fail(self, why: str) -> None:
        """The link is lost."""
        with self._changed:
            self._failure = self._failure or why
            self._changed.notify_all()

    # Called by whoever uses it

    def await_open(self, timeout_s: float) -> None:
        """Raises LinkLost, ReplyTimeout."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._may_write or self._ended or self._failure, timeout_s):
                raise ReplyTimeout(f"{self._connection.name} did not answer within {timeout_s:g} s")
            if self._failure:
                raise LinkLost(self._failure)
            if not self._remote:  # a short process may have ended before this thread looks
                raise LinkLost(f"{self._connection.name} refused to open the service")

    def write(self, data: bytes, timeout_s: float = WRITE_S) -> None:
        """All of it; the phone took everything but the last message.  Raises LinkLost."""
        limit = self._connection.max_data
        for start in range(0, len(data), limit):
            with self._changed:
                if not self._changed.wait_for(lambda: self._may_write or self._ended or self._failure, timeout_s):
                    raise LinkLost(f"{self._connection.name} took nothing for {timeout_s:g} s")
                if self._failure or self._ended:
                    raise LinkLost(self._failure or f"the process on {self._connection.name} has ended")
                self._may_write = False
            self._connection.send(constants.WRTE, self.number, self._remote, data[start : start + limit])

    def read(self, timeout_s: float, *, count: int | None = None) -> bytes | None:
        """At most `count` bytes of what has arrived; b"" at the end, None where nothing came in time.

        Raises LinkLost.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._buffer or self._ended or self._failure, timeout_s)
            data = bytes(self._buffer[:count])
            del self._buffer[:count]
            owes = self._owes_okay and len(self._buffer) < BUFFER_BYTES // 2
            self._owes_okay = self._owes_okay and not owes
            if not data and self._failure:
                raise LinkLost(self._failure)
            if not data and not self._ended:
                return None
        if owes:
            self._connection.send(constants.OKAY, self.number, self._remote)
        return data

    def read_exactly(self, count: int, timeout_s: float) -> bytes:
        """So many bytes.  Raises LinkLost, ReplyTimeout."""
        deadline_s = time.monotonic() + timeout_s
        found = bytearray()
        while len(found) < count:
            data = self.read(max(0.0, deadline_s - time.monotonic()), count=count - len(found))
            if data is None:
                raise ReplyTimeout(f"{self._connection.name} said nothing for {timeout_s:g} s")
            if not data:
                raise LinkLost(f"{self._connection.name} closed the service in mid-answer")
            found += data
        return bytes(found)

    @property
    def waiting(self) -> bool:
        """Whether something can be read at once."""
        return bool(self._buffer)

    @property
    def max_data(self) -> int:
        """Bytes of one message at most."""
        return self._connection.max_data

    def close(self) -> None:
        """Let go of the service; a process behind it may go on."""
        self._connection.forget(self)
        with self._changed:
            tell = self._remote and not self._ended and not self._failure
            self._ended = True
        if tell:
            with contextlib.suppress(LinkLost):
                self._connection.send(constants.CLSE, self.number, self._remote)


def _pack(command: bytes, arg0: int, arg1: int, data: bytes) -> bytes:
    # The sum is looked at by phones older than VERSION; it is cheap for the short messages of the handshake.
    number = constants.ID_TO_WIRE[command]
    checksum = sum(data) & 0xFFFFFFFF if len(data) < 4096 else 0
    return HEADER.pack(number, arg0, arg1, len(data), checksum, number ^ 0xFFFFFFFF)
