"""ADB's messages and frames byte by byte: what a phone sends that it must not, and what it is answered."""

from __future__ import annotations

import struct
from typing import cast

import pytest
from adb_shell import constants
from adb_shell.transport.base_transport import BaseTransport

from lutfarm_agents.transports.adb.transport import EXIT, FRAME, STDOUT, ShellProcess
from lutfarm_agents.transports.adb.wire import BUFFER_BYTES, HEADER, MAX_DATA_BYTES, Connection, Signer, Stream
from lutfarm_jobs.errors import ConnectFailed, LinkLost


class Pieces:
    """A stream that gives what it was made of, then its end."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)

    def read(self, timeout_s: float) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


class Carrier:
    """Gives what a phone says, keeps what it is sent."""

    def __init__(self, said: bytes = b"") -> None:
        self._said = said
        self.sent = b""

    def connect(self, timeout_s: float | None) -> None:
        """It is there."""

    close = connect

    def bulk_read(self, count: int, timeout_s: float | None) -> bytes:
        data, self._said = self._said[:count], self._said[count:]
        return data

    def bulk_write(self, data: bytes, timeout_s: float | None) -> int:
        self.sent += data
        return len(data)


class Sent:
    """A connection that only keeps what a stream sends."""

    name, max_data = "px", 4096

    def __init__(self) -> None:
        self.messages: list[tuple[bytes, int, int]] = []

    def send(self, command: bytes, arg0: int, arg1: int, data: bytes = b"") -> None:
        self.messages.append((command, arg0, arg1))


def process(*pieces: bytes) -> ShellProcess:
    return ShellProcess(cast("Stream", Pieces(*pieces)))


def frame(kind: int, data: bytes) -> bytes:
    return FRAME.pack(kind, len(data)) + data


@pytest.mark.parametrize(("byte", "status"), [(0, 0), (7, 7), (128, 128), (137, -9), (143, -15), (255, -127)])
def test_an_exit_above_128_is_a_signal(byte: int, status: int) -> None:
    assert process(frame(EXIT, bytes([byte]))).status(1.0) == status


def test_frames_are_put_together_again_however_they_are_cut() -> None:
    whole = frame(STDOUT, b"one ") + frame(STDOUT, b"two") + frame(EXIT, b"\0")
    cut = process(*(whole[at : at + 3] for at in range(0, len(whole), 3)))
    assert cut.status(1.0) == 0
    assert cut.read(1.0) == b"one two"


@pytest.mark.parametrize("length", [(1 << 24) + 1, (1 << 32) - 1])
def test_a_frame_that_is_too_long_to_be_one_is_a_lost_link(length: int) -> None:
    with pytest.raises(LinkLost, match=f"announced a frame of {length} bytes"):
        process(FRAME.pack(STDOUT, length), b"x" * 100).read(1.0)


def message(command: bytes, length: int, *, magic: int = 0xFFFFFFFF) -> bytes:
    number = constants.ID_TO_WIRE[command]
    return HEADER.pack(number, 1, 2, length, 0, number ^ magic)


@pytest.mark.parametrize(("length", "magic"), [(2 * MAX_DATA_BYTES + 1, 0xFFFFFFFF), ((1 << 32) - 1, 0xFFFFFFFF), (24, 0)])
def test_a_message_that_is_none_is_named_before_any_of_it_is_read(length: int, magic: int) -> None:
    carrier = Carrier(message(constants.CNXN, length, magic=magic) + b"x" * 24)
    with pytest.raises(ConnectFailed, match=f"does not speak ADB: it sent .*, {length} bytes"):
        Connection(cast("BaseTransport", carrier), "px").open(cast("Signer", None), authorise_s=0.0)


@pytest.mark.parametrize(("command", "answered"), [(constants.WRTE, True), (constants.OKAY, False), (constants.CLSE, False)])
def test_a_phone_that_writes_to_a_stream_that_was_closed_is_told(command: bytes, answered: bool) -> None:
    """Else the process behind it waits for an OKAY for ever."""
    carrier = Carrier()
    Connection(cast("BaseTransport", carrier), "px")._dispatch(command, 5, 99, b"late")
    closing = HEADER.pack(constants.ID_TO_WIRE[constants.CLSE], 0, 5, 0, 0, constants.ID_TO_WIRE[constants.CLSE] ^ 0xFFFFFFFF)
    assert carrier.sent == (closing if answered else b"")


def test_a_phone_is_asked_for_more_only_while_there_is_room_for_it() -> None:
    connection = Sent()
    stream = Stream(cast("Connection", connection), 1)
    stream.taken(7)
    asked = [(constants.OKAY, 1, 7)]
    stream.arrived(b"x" * BUFFER_BYTES)
    assert connection.messages == asked
    stream.arrived(b"y")
    assert connection.messages == asked
    assert stream.read(1.0, count=BUFFER_BYTES // 4) == b"x" * (BUFFER_BYTES // 4)
    assert connection.messages == asked  # it is more than half full
    assert len(stream.read(1.0) or b"") == BUFFER_BYTES - BUFFER_BYTES // 4 + 1
    assert connection.messages == asked * 2
    stream.arrived(b"z")
    assert stream.read(1.0) == b"z"
    assert connection.messages == asked * 3


def test_frames_have_the_layout_of_shell_v2() -> None:
    assert frame(STDOUT, b"ab") == struct.pack("<BI", 1, 2) + b"ab"
