"""Lines out of bytes that a device sends, and words about how its process ended."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from lutfarm_agents.transports.interface import Exit
from lutfarm_jobs.errors import LinkLost, ProtocolMismatch, ReplyTimeout

LINE_LIMIT_BYTES = 1 << 20
TAIL_BYTES = 16_384


class LineReader:
    """Takes whole lines.  `fill(timeout_s)` gives bytes, b"" at the end, None where none came in time."""

    def __init__(self, fill: Callable[[float], bytes | None], *, ended: Callable[[], str]) -> None:
        self._fill = fill
        self._ended = ended  # says how the process ended, for LinkLost
        self._buffer = bytearray()
        self._scanned = 0

    def next(self, timeout_s: float) -> str:
        """The next line without its newline.

        Raises ReplyTimeout, LinkLost at the end, ProtocolMismatch over 1 MiB or where it is not UTF-8.
        """
        deadline_s = time.monotonic() + timeout_s
        while (end := self._buffer.find(b"\n", self._scanned)) < 0:
            self._scanned = len(self._buffer)
            if self._scanned > LINE_LIMIT_BYTES:
                raise ProtocolMismatch(f"the device sent a line of more than {LINE_LIMIT_BYTES} bytes")
            data = self._fill(max(0.0, deadline_s - time.monotonic()))
            if data is None:
                raise ReplyTimeout(f"the device said nothing for {timeout_s:g} s")
            if not data:
                raise LinkLost(self._ended())
            self._buffer += data
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._scanned = 0
        if end > LINE_LIMIT_BYTES:
            raise ProtocolMismatch(f"the device sent a line of {end} bytes")
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            raise ProtocolMismatch("the device sent a line that is not UTF-8") from error


def ending_words(ending: Exit) -> str:
    """For an error: how the process ended, and the end of what it said."""
    if ending.signal is None:
        how = f"exit status {ending.code}"
    else:
        known = {int(number) for number in signal.valid_signals()}
        how = f"signal {signal.Signals(ending.signal).name if ending.signal in known else ending.signal}"
    tail = "".join(c if c.isprintable() else " " for c in ending.stderr_tail).strip()[-500:]
    return f"the process on the device ended with {how}" + (f": {tail}" if tail else "")
