"""A channel over the pipes of a child process."""

from __future__ import annotations

import os
import select
import subprocess
import threading
import time

from lutfarm_agents.transports.interface import Exit
from lutfarm_agents.transports.lines import TAIL_BYTES, LineReader, ending_words
from lutfarm_agents.transports.orphans import end_session
from lutfarm_jobs.errors import LinkLost, ReplyTimeout

SEND_TIMEOUT_S = 10.0


class PipeChannel:
    """One process that leads a session; one thread may receive while another sends."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
        if stdin is None or stdout is None or stderr is None:
            raise ValueError("all three streams of the process must be pipes")
        self._process = process
        self._stdin, self._stdout, self._stderr = stdin, stdout, stderr
        os.set_blocking(stdin.fileno(), False)
        self._sending = threading.Lock()
        self._lines = LineReader(self._fill, ended=self._ending)
        self._tail = bytearray()
        self._drain = threading.Thread(target=self._drain_stderr, name=f"stderr {process.pid}", daemon=True)
        self._drain.start()

    @property
    def pid(self) -> int:
        """Of the session's leader."""
        return self._process.pid

    def send(self, line: str) -> None:
        """Write one line.  Raises LinkLost when the process is gone or reads nothing for 10 s."""
        if self._process.poll() is not None:
            raise LinkLost(self._ending())
        rest = memoryview(line.encode() + b"\n")
        deadline_s = time.monotonic() + SEND_TIMEOUT_S
        with self._sending:
            while rest:
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    raise LinkLost(f"the process on the device read nothing for {SEND_TIMEOUT_S:.0f} s")
                try:
                    _ready(self._stdin.fileno(), select.POLLOUT, left_s)
                    rest = rest[os.write(self._stdin.fileno(), rest[:65_536]) :]
                except BlockingIOError:
                    continue
                except (OSError, ValueError) as error:
                    raise LinkLost(self._ending()) from error

    def receive(self, timeout_s: float) -> str:
        """The next line.  Raises ReplyTimeout, LinkLost at end of file, ProtocolMismatch for a bad line."""
        return self._lines.next(timeout_s)

    def read(self, timeout_s: float) -> bytes | None:
        """Some output; b"" at its end, None where none came in time.  Not to be mixed with receive."""
        return self._fill(timeout_s)

    def wait(self, timeout_s: float) -> Exit:
        """How the process ended.  Raises ReplyTimeout."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ReplyTimeout(f"the process on the device did not end within {timeout_s:g} s") from error
        self._drain.join(timeout=1.0)
        tail = self._tail.decode("utf-8", "replace")
        return Exit(code, None, tail) if code >= 0 else Exit(None, -code, tail)

    def kill(self) -> None:
        """End every process of the session; no error if they are gone."""
        end_session(self._process.pid)

    def close(self) -> None:
        """Kill what runs, collect the exit status, close the pipes."""
        self.kill()
        self._process.wait()
        self.kill()  # what was being born during the first
        self._drain.join(timeout=1.0)
        for stream in (self._stdin, self._stdout, self._stderr):
            stream.close()

    def _fill(self, timeout_s: float) -> bytes | None:
        try:
            descriptor = self._stdout.fileno()
            return os.read(descriptor, 65_536) if _ready(descriptor, select.POLLIN, timeout_s) else None
        except (OSError, ValueError) as error:  # closed by another thread
            raise LinkLost(self._ending()) from error

    def _ending(self) -> str:
        try:
            ending = self.wait(2.0)
        except ReplyTimeout:
            return "the process on the device closed its output"
        return ending_words(ending)

    def _drain_stderr(self) -> None:
        try:
            while data := os.read(self._stderr.fileno(), 65_536):
                self._tail += data
                del self._tail[:-TAIL_BYTES]
        except (OSError, ValueError):
            return


def _ready(descriptor: int, event: int, timeout_s: float) -> bool:
    """Wait for one descriptor.  poll, because select ends at descriptor 1023: some 300 devices."""
    poller = select.poll()
    poller.register(descriptor, event)
    return bool(poller.poll(timeout_s * 1000))
