"""Devices that are the host itself: files in a folder, processes in a session of their own."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lutfarm_agents.address import Address, LocalAddress
from lutfarm_agents.transports.interface import Completed, Transport
from lutfarm_agents.transports.kind import TransportKind, only
from lutfarm_agents.transports.orphans import Orphans
from lutfarm_agents.transports.pipe_channel import PipeChannel
from lutfarm_agents.transports.writable import ANOTHER_HOME, unwritable
from lutfarm_jobs.atomic_files import READABLE, replacing, sweep
from lutfarm_jobs.errors import ConnectFailed, LinkLost, ReplyTimeout, TransferFailed

OUTPUT_LIMIT_BYTES = 1 << 20
PLACE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

# What a process on the device gets of the host's environment; nothing that tunes Python or a runtime.
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR")


@dataclass(frozen=True, slots=True)
class LocalTransport:
    """Files under `root`; every path on the device is absolute and inside it.

    `cpus`: the cores that spawned processes may use; None for those that the calling thread may.
    """

    root: Path
    cpus: frozenset[int] | None = None

    @property
    def remarks(self) -> tuple[str, ...]:
        """Nothing lies between."""
        return ()

    def put(self, local: Path, remote: str) -> None:
        """Copy, make durable, then rename into place.  Raises TransferFailed."""
        target = self._inside(remote)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with local.open("rb") as source, replacing(target, mode=READABLE) as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
        except OSError as error:
            if error.errno in PLACE_ERRORS:
                raise unwritable(str(self.root), str(error), instead=ANOTHER_HOME) from error
            raise TransferFailed(f"{local} could not be copied to {target}: {error}") from error

    def get(self, remote: str, local: Path) -> None:
        """Copy back, atomically.  Raises TransferFailed."""
        source = self._inside(remote)
        try:
            with source.open("rb") as stream, replacing(local, mode=READABLE) as sink:
                shutil.copyfileobj(stream, sink, 1 << 20)
        except OSError as error:
            raise TransferFailed(f"{source} could not be copied to {local}: {error}") from error

    def exists(self, remote: str) -> bool:
        """Whether a regular file is there; a link is none."""
        path = self._inside(remote)
        try:
            return path.is_file() and not path.is_symlink()
        except OSError as error:
            raise TransferFailed(f"{path} can't be looked at: {error}") from error

    @contextmanager
    def spawn(self, argv: Sequence[str], *, env: Mapping[str, str]) -> Generator[PipeChannel]:
        """Start argv in a session of its own; leaving the block ends every process of it."""
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        self._make_root()
        try:
            with _on(self.cpus):
                process = subprocess.Popen(  # noqa: S603  no shell; argv is the host's own
                    list(argv),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    bufsize=0,
                    cwd=self.root,
                    env={**kept, **env},
                    start_new_session=True,
                )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise ConnectFailed(f"{argv[0]} could not be started: {error}") from error
        channel = PipeChannel(process)
        note: Path | None = None
        try:
            note = self._noted(process.pid)
            yield channel
        finally:
            channel.close()
            if note is not None:
                self._orphans().forget(note)

    def run(self, argv: Sequence[str], *, timeout_s: float = 20.0) -> Completed:
        """A small command, to its end; its session is ended with it.  Raises LinkError."""
        deadline_s = time.monotonic() + timeout_s
        said = bytearray()
        with self.spawn(argv, env={}) as channel:
            while data := channel.read(max(0.0, deadline_s - time.monotonic())):
                said += data
                if len(said) > OUTPUT_LIMIT_BYTES:
                    raise LinkLost(f"{argv[0]} said more than {OUTPUT_LIMIT_BYTES} bytes")
            if data is None:
                raise ReplyTimeout(f"{argv[0]} did not end within {timeout_s:g} s")
            ending = channel.wait(max(0.5, deadline_s - time.monotonic()))
        code = ending.code if ending.code is not None else -(ending.signal or 0)
        return Completed(code, bytes(said), ending.stderr_tail)

    def reap(self) -> int:
        """End sessions whose host is gone; how many.  Files of broken copies are removed after an hour without a byte."""
        for folder in (self.root, *self.root.glob("*/")):
            sweep(folder)
        return self._orphans().reap()

    def close(self) -> None:
        """Nothing is held open."""

    def _orphans(self) -> Orphans:
        return Orphans(self.root / "running")

    def _noted(self, leader: int) -> Path:
        try:
            return self._orphans().note(leader)
        except OSError as error:
            raise unwritable(str(self.root), str(error), instead=ANOTHER_HOME) from error

    def _make_root(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(str(self.root), str(error), instead=ANOTHER_HOME) from error

    def _inside(self, remote: str) -> Path:
        path = Path(remote)
        strange = ".." in path.parts or "\n" in remote or "\0" in remote
        try:
            inside = path.is_absolute() and not strange and path.parent.resolve().is_relative_to(self.root.resolve())
        except (OSError, RuntimeError):  # a loop of links; up to Python 3.12 that is a RuntimeError
            inside = False
        if not inside:
            raise TransferFailed(f"{remote[:200]!r} is not an absolute path inside {self.root}")
        return path


@contextmanager
def _on(cpus: frozenset[int] | None) -> Generator[None]:
    """Let the calling thread use other cores for a moment: a process starts with those of its starter.

    Needed because the host keeps itself off the cores that it measures on.
    """
    if cpus is None:
        yield
        return
    thread = threading.get_native_id()
    before = os.sched_getaffinity(thread)
    try:
        os.sched_setaffinity(thread, cpus)
        yield
    finally:
        os.sched_setaffinity(thread, before)


def write_durably(content: bytes, target: Path) -> None:
    """Write a file in one step.  Raises TransferFailed."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target, mode=READABLE) as sink:
            sink.write(content)
    except OSError as error:
        raise TransferFailed(f"{target} can't be written: {error}") from error


def _read(fields: Mapping[str, str]) -> LocalAddress:
    only(fields)
    return LocalAddress()


def _write(address: Address) -> Mapping[str, str]:
    del address
    return {}


def _open(address: Address, *, root: str, state_dir: Path, cpus: frozenset[int] | None) -> Transport:
    del address, state_dir
    return LocalTransport(Path(root), cpus)


KIND = TransportKind(LocalAddress, _read, _write, _open)
