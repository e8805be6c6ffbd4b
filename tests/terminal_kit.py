"""Commands on a pseudo terminal of some width: what a person sees, line by line."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

_STEERING = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Screen:
    """What a command wrote to its terminal, without colours, and how it ended."""

    text: str
    code: int
    columns: int

    @property
    def lines(self) -> list[str]:
        """As they were written: a longer one than the terminal is wide is folded by the terminal."""
        return self.text.split("\n")

    @property
    def too_long(self) -> list[str]:
        """The lines that the terminal folds, but for those that are one word: nobody may break these."""
        return [line for line in self.lines if cell_len(line) > self.columns and " " in line.strip()]


def on_terminal(command: Sequence[str], *, columns: int, environment: Mapping[str, str] = {}, timeout_s: float = 120.0) -> Screen:
    """Run a command whose standard output and error are a terminal so many columns wide."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    surroundings = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        list(command), stdin=follower, stdout=follower, stderr=follower, env={**surroundings, "TERM": "xterm", **environment}
    )
    os.close(follower)
    try:
        written = b"".join(iter(lambda: _read(leader), b""))
        code = process.wait(timeout_s)
    finally:
        process.kill()
        process.wait()
        os.close(leader)
    return Screen(_STEERING.sub("", written.decode()).replace("\r\n", "\n").rstrip("\n"), code, columns)


def _read(leader: int) -> bytes:
    """What came; nothing once the other side is closed, which Linux says with EIO."""
    try:
        return os.read(leader, 65_536)
    except OSError:
        return b""
