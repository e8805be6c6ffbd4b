"""A process behind a channel of an SSH connection."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

import paramiko

from lutfarm_agents.transports.lines import TAIL_BYTES
from lutfarm_agents.transports.vendor import ignored, mapped
from lutfarm_jobs.errors import LinkLost

ANSWER_S = 8.0


class ChannelProcess:
    """One channel in which a command runs."""

    def __init__(self, channel: paramiko.Channel, name: str) -> None:
        self._channel = channel
        self._name = name
        self._tail = bytearray()
        self._sending = threading.Lock()
        self._reading = threading.Lock()
        self._news = threading.Event()
        for pipe in (channel.in_buffer, channel.in_stderr_buffer):
            pipe.set_event(self._news)

    def write(self, data: bytes, timeout_s: float) -> None:
        """All of it.  Raises LinkLost."""
        if self._channel.exit_status_ready():
            raise LinkLost(f"the process on {self._name} has ended")
        deadline_s = time.monotonic() + timeout_s
        rest = memoryview(data)
        with self._sending:
            while rest:
                with mapped(lambda words: LinkLost(f"{self._name} took nothing for {timeout_s:g} s: {words}")):
                    self._channel.settimeout(max(0.01, deadline_s - time.monotonic()))
                    sent = self._channel.send(bytes(rest[:65_536]))
                if not sent:
                    raise LinkLost(f"the process on {self._name} has ended")
                rest = rest[sent:]

    def read(self, timeout_s: float) -> bytes | None:
        """Some output; b"" at its end, None where none came in time.  Raises LinkLost where the link broke."""
        deadline_s = time.monotonic() + timeout_s
        with self._reading:
            while True:
                self._news.clear()
                self._drain_stderr()
                if self._channel.recv_ready():
                    return self._receive()
                if self._channel.eof_received or self._channel.closed:
                    data = self._receive()  # what came just before the end
                    if not data:
                        self._raise_if_lost()
                    return data
                if not self._news.wait(max(0.0, deadline_s - time.monotonic())):
                    self._raise_if_lost()
                    return None

    def status(self, timeout_s: float) -> int | None:
        """Exit status, -9 where a signal ended the shell above it; None where it has not ended.  Raises LinkLost."""
        deadline_s = time.monotonic() + timeout_s
        with self._reading:
            while not self._channel.status_event.wait(0.02):
                self._drain_stderr()
                if time.monotonic() > deadline_s:
                    self._raise_if_lost()
                    return None
            self._drain_stderr()
        code = self._channel.exit_status
        if code < 0:
            self._raise_if_lost()
            return -9  # paramiko keeps no name; only what lutfarm kills ends so
        return code if code <= 128 else 128 - code

    @property
    def stderr_tail(self) -> str:
        """The end of what it said there."""
        return self._tail.decode("utf-8", "replace")

    def close(self) -> None:
        """Let go of it."""
        with ignored():
            self._channel.close()

    def _receive(self) -> bytes:
        with mapped(lambda words: LinkLost(f"{self._name}: {words}")):
            self._channel.settimeout(0.0)
            try:
                return self._channel.recv(65_536)
            except TimeoutError:
                return b""

    def _raise_if_lost(self) -> None:
        transport = self._channel.get_transport()
        if not transport.is_active():
            raise LinkLost(f"{self._name} went away: the connection broke")

    def _drain_stderr(self) -> None:
        # Output and noise share one window: noise that nobody takes would stop the output.
        with ignored():
            while self._channel.recv_stderr_ready():
                self._tail += self._channel.recv_stderr(65_536)
                del self._tail[:-TAIL_BYTES]


@contextmanager
def answered(channel: paramiko.Channel) -> Generator[None]:
    """Closes the channel where the other side does not answer a request in time.

    Its time-out is for data alone: for the answer to a request paramiko waits as long as the connection lives, which outlives
    an sshd that was stopped between one message and the next.
    """
    channel.settimeout(ANSWER_S)

    def give_up() -> None:
        with ignored():  # the connection itself ended meanwhile
            channel.close()

    late = threading.Timer(ANSWER_S, give_up)
    late.daemon = True
    late.start()
    try:
        yield
    finally:
        late.cancel()
