"""How files and processes reach one device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Exit:
    """How a remote process ended: exactly one of `code` and `signal` is set."""

    code: int | None
    signal: int | None
    stderr_tail: str


@dataclass(frozen=True, slots=True)
class Completed:
    """What a small command on the device said; `code` is -n where signal n ended it."""

    code: int
    stdout: bytes
    stderr: str


class RemoteProcess(Protocol):
    """A running process at the far end, in bytes."""

    def write(self, data: bytes, timeout_s: float) -> None:
        """All of it.  Raises LinkLost."""
        ...

    def read(self, timeout_s: float) -> bytes | None:
        """Some output; b"" at its end, None where none came in time.  Raises LinkLost."""
        ...

    def status(self, timeout_s: float) -> int | None:
        """Exit status, -n for signal n, None where it has not ended in time.  Raises LinkLost."""
        ...

    @property
    def stderr_tail(self) -> str:
        """The end of what it said there."""
        ...

    def close(self) -> None:
        """Let go of it; it may go on."""
        ...


class Channel(Protocol):
    """One running remote process, spoken to in lines."""

    def send(self, line: str) -> None:
        """Write one line; the newline is added.  Raises LinkLost when the process is gone."""
        ...

    def receive(self, timeout_s: float) -> str:
        """The next line without its newline.

        Raises ReplyTimeout, LinkLost at end of file, ProtocolMismatch over 1 MiB.
        """
        ...

    def wait(self, timeout_s: float) -> Exit:
        """How it ended.  Raises ReplyTimeout."""
        ...

    def kill(self) -> None:
        """End the whole remote process group; no error if it is gone."""
        ...


class Transport(Protocol):
    """Files and processes of one device."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is unusual about the way there, is got round, and how it would be mended; as far as is known by now."""
        ...

    def put(self, local: Path, remote: str) -> None:
        """Copy a file; existing content is replaced atomically.  Raises TransferFailed, NotReady where the disk is full."""
        ...

    def get(self, remote: str, local: Path) -> None:
        """Copy a file back, atomically.  Raises TransferFailed."""
        ...

    def exists(self, remote: str) -> bool:
        """Whether a regular file of that name is there."""
        ...

    def spawn(self, argv: Sequence[str], *, env: Mapping[str, str]) -> AbstractContextManager[Channel]:
        """Start a process in its own group; leaving the block ends the group.  Raises ConnectFailed, NotReady."""
        ...

    def run(self, argv: Sequence[str], *, timeout_s: float = 20.0) -> Completed:
        """A small command, to its end.  Raises ConnectFailed, ReplyTimeout (and it is ended), LinkLost over 1 MiB."""
        ...

    def reap(self) -> int:
        """End what an earlier host left behind, and remove what broken copies did; how many process groups."""
        ...

    def close(self) -> None:
        """Release the connection."""
        ...
