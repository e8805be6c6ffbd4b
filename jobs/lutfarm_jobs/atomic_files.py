"""Files that change as a whole: whoever reads one, or finds it after a power cut, sees the old content or the new.

A draft lies in the target's folder until it is complete, under a name that no glob of ours takes for a result.  An error or an
interrupt removes it; what a killed process left, `sweep` removes an hour later: in the folders that are ours, and where the next
table is written.  A link of the target's name is replaced, never followed.
"""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

DRAFT = ".incoming-"
DRAFT_BYTES = 8  # of chance in its name: nothing of a person's has it
_DIGITS = "[0-9a-f]" * 2 * DRAFT_BYTES
STALE_S = 3600.0
READABLE = 0o644  # whatever the umask: what a device runs may be another user's
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EACCES)  # some network file systems; a folder that may not be listed


@contextmanager
def replacing(target: Path, *, mode: int | None = None, durable: bool = True, drafts: Path | None = None) -> Generator[BinaryIO]:
    """A new file, open for writing, that takes the place of `target` when the block ends.

    `mode`: its permissions, and until then only its owner may read it; None for those of any new file.  `durable`: it is on the
    disk before it has its name, and so is its name.  `drafts`: another folder for the draft, on the same file system.  Raises
    OSError.
    """
    draft = (drafts or target.parent) / f"{DRAFT}{secrets.token_hex(DRAFT_BYTES)}"
    try:
        draft.touch(mode=0o666 if mode is None else 0o600, exist_ok=False)
        with draft.open("r+b") as file:
            yield file
            if durable:
                _sync(file)
        if mode is not None:
            draft.chmod(mode)
        draft.replace(target)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
    if durable:
        _sync_folder(target.parent)


def replace_all(contents: Mapping[Path, bytes]) -> None:
    """Several files, durably, in this order.  All drafts first: a full disk leaves every old file as it was.  Raises OSError.

    Drafts that others left in their folders are swept.
    """
    for folder in {target.parent for target in contents}:
        sweep(folder)
    with ExitStack() as renames:  # the last one entered is renamed first
        for target, content in reversed(list(contents.items())):
            file = renames.enter_context(replacing(target))
            file.write(content)
            _sync(file)


def publish(file: Path, target: Path, *, mode: int) -> None:
    """Give a complete file its name, durably; both on one file system.  Raises OSError."""
    file.chmod(mode)
    with file.open("rb") as content:
        os.fsync(content.fileno())
    file.replace(target)
    _sync_folder(target.parent)


def sweep(folder: Path) -> None:
    """Remove drafts that got no byte for an hour; what another process is writing now is younger."""
    oldest_s = time.time() - STALE_S
    for left in folder.glob(DRAFT + _DIGITS):
        with suppress(OSError):  # another process removed it, or it is another user's
            if left.lstat().st_mtime < oldest_s:
                left.unlink()


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
