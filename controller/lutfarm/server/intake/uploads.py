"""Files that people send, kept by content until a job takes them: bounded, checked, and gone after a day."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from lutfarm_jobs.atomic_files import DRAFT, replacing, sweep
from lutfarm_jobs.errors import ServerBusy, SpecError, StoreUnwritable, TooLarge
from lutfarm_jobs.file_hash import copy

KEPT_S = 86_400.0
TIDY_S = 600.0  # how often what is old is looked for
RESERVE_BYTES = 1_000_000_000  # that stay free on the disk: a store that can't write loses what was measured
CHECK_BYTES = 16_000_000  # after so many it is looked whether they still are
MOST_AT_ONCE = 16


@dataclass(slots=True)
class Incoming:
    """One file that is on its way."""

    sha256: str
    most_bytes: int
    file: BinaryIO
    folder: Path
    size_bytes: int = 0
    _digest: Any = field(default_factory=hashlib.sha256)
    _checked_bytes: int = 0

    def add(self, chunk: bytes) -> None:
        """Raises TooLarge, StoreUnwritable."""
        self.size_bytes += len(chunk)
        if self.size_bytes > self.most_bytes:
            raise TooLarge(f"more than {self.most_bytes} bytes, which is the most for a file")
        if self.size_bytes - self._checked_bytes > CHECK_BYTES:
            self._checked_bytes = self.size_bytes
            require_room(self.folder, 0)
        self._digest.update(chunk)
        self.file.write(chunk)

    def finish(self) -> None:
        """Raises SpecError where the content is another than was announced."""
        found = self._digest.hexdigest()
        if found != self.sha256:
            raise SpecError(
                f"the {self.size_bytes} bytes that came have the SHA-256 {found}, not that of the address; send the file again"
            )


@dataclass(slots=True)
class Uploads:
    """The files in one folder."""

    folder: Path
    largest_bytes: int
    _room: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(MOST_AT_ONCE))
    _tidied_s: float = float("-inf")

    def size(self, sha256: str) -> int | None:
        """In bytes, of a file that is here; it is kept for a day more."""
        try:
            os.utime(self.folder / sha256)
            return (self.folder / sha256).stat().st_size
        except OSError:
            return None

    @contextmanager
    def receiving(self, sha256: str, announced_bytes: int) -> Generator[Incoming]:
        """A file that comes; it is here when the block ends.  Raises ServerBusy, StoreUnwritable, and what Incoming raises."""
        if not self._room.acquire(blocking=False):
            raise ServerBusy(f"{MOST_AT_ONCE} files come in at once already; send this one in a moment")
        with ExitStack() as stack:
            stack.callback(self._room.release)
            stack.enter_context(_mapped(self.folder))
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._tidy(time.time())
            require_room(self.folder, announced_bytes)
            file = stack.enter_context(replacing(self.folder / sha256, mode=0o600))
            incoming = Incoming(sha256, self.largest_bytes, file, self.folder)
            yield incoming
            incoming.finish()

    def copy_to(self, sha256: str, target: Path) -> bool:
        """Whether it is here, and was copied.  A copy, since a file with two names is refused wherever models are read."""
        try:
            source = (self.folder / sha256).open("rb")
        except OSError:
            return False
        with source, _mapped(target):
            require_room(target.parent, os.fstat(source.fileno()).st_size)
            with target.open("xb") as file:
                found, _ = copy(source, file)
        if found != sha256:
            (self.folder / sha256).unlink(missing_ok=True)
            raise SpecError(f"the file {sha256} was damaged on the farm's disk: send it again, then the job")
        return True

    def _tidy(self, now_s: float) -> None:
        if now_s - self._tidied_s < TIDY_S:
            return
        self._tidied_s = now_s
        sweep(self.folder)
        for kept in self.folder.iterdir():
            with suppress(OSError):  # another request removed it
                if not kept.name.startswith(DRAFT) and kept.stat().st_mtime < now_s - KEPT_S:
                    kept.unlink()


def require_room(folder: Path, wanted_bytes: int) -> None:
    """Raises StoreUnwritable where the disk would be too full afterwards."""
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes - wanted_bytes < RESERVE_BYTES:
        raise StoreUnwritable(
            f"{wanted_bytes} more bytes would leave less than {RESERVE_BYTES} of the farm's disk free ({free_bytes} are); "
            "its operator has to make room"
        )


@contextmanager
def _mapped(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnwritable(f"{path.name}: can't be written: {error.strerror}; the farm's operator has to look") from error
