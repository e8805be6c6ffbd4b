"""Lines in, lines out.  docs/wire.md is the contract."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, Mapping

COMMAND_LIMIT = 64 << 20  # bytes: a probe order carries reference outputs


class Refused(Exception):
    """A command can't be carried out; becomes an `error` event and never a crash."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def claim_stdout() -> int:
    """Keep the wire's descriptor and point descriptor 1 at stderr.

    Whatever prints from now on, in Python or in native code, can't corrupt the wire.
    """
    wire = os.dup(1)
    os.dup2(2, 1)
    return wire


def encode(kind: str, fields: Mapping[str, object]) -> bytes:
    """One event as one line."""
    line = json.dumps({"type": kind, **fields}, separators=(",", ":"), allow_nan=False)
    return line.encode() + b"\n"


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it, however large the pipe is.  Raises BrokenPipeError when nobody reads."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class Lines:
    """Splits what a descriptor yields into lines; an unfinished last line is dropped."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.ended = False
        self._rest = bytearray()

    def read(self) -> List[bytes]:
        """The lines that one read completes.  Call when readable.  Raises Refused over COMMAND_LIMIT."""
        data = os.read(self.descriptor, 1 << 16)
        self.ended = not data
        self._rest += data
        if len(self._rest) > COMMAND_LIMIT:
            self._rest = bytearray()
            raise Refused("ProtocolMismatch", f"a line is longer than {COMMAND_LIMIT} bytes")
        if b"\n" not in data:
            return []
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        return lines


def decode(line: bytes) -> Dict[str, Any]:
    """A command as a dictionary with a `type`.  Raises Refused."""
    try:
        message: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Refused("ProtocolMismatch", f"not a JSON line: {error}") from error
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):  # pyright: ignore
        raise Refused("ProtocolMismatch", "a command is a JSON object with a type")
    return message  # pyright: ignore[reportUnknownVariableType]


def printable(data: bytes, limit: int = 2000) -> str:
    """The end of what a process printed, safe to show: at most `limit` characters."""
    text = data[-4 * limit :].decode("utf-8", "replace")
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text).strip()[-limit:]


class Tail:
    """The last bytes of a stream that is drained and not kept."""

    def __init__(self, limit: int = 8000) -> None:
        self.data = b""
        self._limit = limit

    def add(self, data: bytes) -> None:
        """Append, and forget what is too old."""
        self.data = (self.data + data)[-self._limit :]


class Writer:
    """Sends events over a descriptor."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def send(self, kind: str, **fields: object) -> None:
        """One event, at once."""
        write_all(self.descriptor, encode(kind, fields))

    def error(self, refused: Refused, *, done: bool = True) -> None:
        """A refused command, and the end of it."""
        self.send("error", code=refused.code, detail=refused.detail[:8000])
        if done:
            self.send("done", cancelled=False)
