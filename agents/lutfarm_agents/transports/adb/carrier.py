"""What carries ADB's messages: adb-shell's socket, with a vanished peer noticed, and its errors as ours."""

# adb-shell has no type information.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import select
import socket
from collections.abc import Generator
from contextlib import contextmanager

from adb_shell.exceptions import TcpTimeoutException
from adb_shell.transport.tcp_transport import TcpTransport

from lutfarm_agents.transports.sockets import watch
from lutfarm_agents.transports.vendor import mapped, words
from lutfarm_jobs.errors import LinkLost, ReplyTimeout


class Tcp(TcpTransport):
    """adb-shell's socket; a peer that vanished is noticed, and descriptors may be above 1023."""

    def connect(self, transport_timeout_s: float | None) -> None:
        """Connect, and ask the kernel to notice a cut within 8 s."""
        super().connect(transport_timeout_s)
        connection = self._connection
        if connection is None:
            raise OSError("adb-shell made no connection")
        watch(connection, lost_after_ms=7000)

    def bulk_read(self, numbytes: int, transport_timeout_s: float | None) -> bytes:
        """Up to numbytes; b"" when the phone closed."""
        connection = self._connection
        if connection is None:
            return b""
        _await(connection, select.POLLIN, transport_timeout_s)
        return connection.recv(numbytes)

    def bulk_write(self, data: bytes, transport_timeout_s: float | None) -> int:
        """How many bytes were taken."""
        connection = self._connection
        if connection is None:
            raise OSError("the connection is closed")
        _await(connection, select.POLLOUT, transport_timeout_s)
        return connection.send(data)


def _await(connection: socket.socket, event: int, timeout_s: float | None) -> None:
    poller = select.poll()
    poller.register(connection, event)
    if not poller.poll(None if timeout_s is None else timeout_s * 1000):
        raise TcpTimeoutException(f"nothing within {timeout_s:g} s")


@contextmanager
def carried() -> Generator[None]:
    """What goes wrong with a carrier is LinkLost; ReplyTimeout where nothing came, or was taken, in time."""
    with mapped(LinkLost):
        try:
            yield
        except TcpTimeoutException as error:
            raise ReplyTimeout(words(error)) from error
