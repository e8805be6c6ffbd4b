"""The device's lock: one owner at a time, told apart by content, held by flock.

Supervisors of one owner share it: each holds LOCK_SH, and who takes it first passes through LOCK_EX.
The content is a hint for people and for the take-over; flock decides.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import stat
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional

from lutfarm_runner import commands
from lutfarm_runner.machine.process import started_at
from lutfarm_runner.wire import Refused

CONTENT_LIMIT = 16_384
UNKNOWN = "unknown holder"
CORRECT = "correct lock_path in the device's profile"
REMEDIES = {
    errno.ELOOP: "remove it, or " + CORRECT,
    errno.ENOSPC: "free space there",
    errno.EACCES: "give access to it, or " + CORRECT,
    errno.EPERM: "give access to it, or " + CORRECT,
}


@dataclass(frozen=True)
class Content:
    """What the holder wrote; defaults where it is unreadable."""

    owner: str = ""
    holder: str = UNKNOWN
    farm: str = ""
    token: int = -1
    device: str = ""
    pid: int = 0
    pid_start: int = 0  # clock ticks after boot: a pid that came again has another
    since_s: float = 0.0


def parse(data: bytes) -> Content:
    """Whatever the file holds; anyone may have written to it."""
    try:
        found: Any = json.loads(data)
        return Content(
            commands.text(found, "owner", limit=200),
            commands.text(found, "holder", limit=500),
            commands.text(found, "farm", limit=100),
            commands.integer(found, "token", 0, commands.LARGEST),
            commands.text(found, "device", limit=200, default=""),
            commands.integer(found, "pid", 2, 1 << 31),
            commands.integer(found, "pid_start", 0, commands.LARGEST),
            commands.number(found, "since_s", 0, 1e12),
        )
    except (ValueError, RecursionError, AttributeError, Refused):
        return Content()


def may_take_over(wanted: commands.Lock, found: Content) -> bool:
    """Whether the holder is an older process of the same lease: same farm, same device, smaller token."""
    same_device = not found.device or not wanted.device or found.device == wanted.device
    return bool(wanted.farm) and found.farm == wanted.farm and same_device and found.token < wanted.token


def holds(pid: int, wanted: os.stat_result) -> bool:
    """Whether a process has that very file open."""
    try:
        return any(_is_file(path, wanted) for path in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def _is_file(path: Path, wanted: os.stat_result) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino)


def open_lock(path: str) -> int:
    """Open or make the file, by no link, as a plain file.  Raises Refused (NotReady).

    An existing file is opened without O_CREAT: in a sticky folder the kernel may refuse that with it.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    for _ in range(10):
        try:
            descriptor = os.open(path, flags)
        except FileNotFoundError:
            try:
                descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
                os.fchmod(descriptor, 0o666)  # whatever the umask: other users wait here too
            except FileExistsError:
                continue
            except OSError as error:
                raise _unusable(path, error) from error
        except OSError as error:
            raise _unusable(path, error) from error
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
            return descriptor
        os.close(descriptor)
        if found.st_nlink != 0:
            if stat.S_ISREG(found.st_mode):
                raise Refused("NotReady", f"the lock {path} has more than one name; remove it, or {CORRECT}")
            raise Refused("NotReady", f"the lock {path} is no plain file; {CORRECT}")
    raise Refused("NotReady", f"the lock {path} comes and goes; something removes it")


def _unusable(path: str, error: OSError) -> Refused:
    why = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
    remedy = REMEDIES.get(error.errno or 0, CORRECT)
    return Refused("NotReady", f"the lock {path} can't be used: {why}; {remedy}")


class DeviceLock:
    """The lock as one supervisor sees it.  Not inherited by children."""

    def __init__(self, wanted: commands.Lock) -> None:
        self.wanted = wanted
        self._descriptor = open_lock(wanted.path)

    def attempt(self) -> Optional[Content]:
        """None: it is ours, now and until close().  Otherwise who has it; ask again in a moment.

        Raises Refused (NotReady) where the file can't be used as a lock.
        """
        try:
            return self._attempt()
        except OSError as error:
            raise _unusable(self.wanted.path, error) from error

    def _attempt(self) -> Optional[Content]:
        self._reopen_if_removed()
        if self._flock(fcntl.LOCK_EX):
            self._write()
            # From exclusive to shared is not atomic: look again who is in.
            if self._flock(fcntl.LOCK_SH) and self.read().owner == self.wanted.owner:
                return None
            self._flock(fcntl.LOCK_UN)
        found = self.read()
        if found.owner and found.owner == self.wanted.owner and self._join():
            return None
        if may_take_over(self.wanted, found):
            self._end(found)
        return found

    def _join(self) -> bool:
        if not self._flock(fcntl.LOCK_SH):
            return False
        if self.read().owner == self.wanted.owner:
            return True
        self._flock(fcntl.LOCK_UN)
        return False

    def _flock(self, kind: int) -> bool:
        try:
            fcntl.flock(self._descriptor, kind | fcntl.LOCK_NB)
        except (BlockingIOError, InterruptedError):
            return False
        return True

    def _reopen_if_removed(self) -> None:
        if not _is_file(Path(self.wanted.path), os.fstat(self._descriptor)):
            os.close(self._descriptor)
            self._descriptor = open_lock(self.wanted.path)

    def read(self) -> Content:
        """What the file says now."""
        return parse(os.pread(self._descriptor, CONTENT_LIMIT, 0))

    def _write(self) -> None:
        wanted, pid = self.wanted, os.getpid()
        content = Content(
            wanted.owner, wanted.holder, wanted.farm, wanted.token, wanted.device, pid, started_at(pid), time.time()
        )
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(asdict(content)).encode(), 0)

    def _end(self, found: Content) -> None:
        """End the older supervisor's group, if the process is proved to be what the file says."""
        pid = found.pid
        proved = (
            pid not in (0, 1, os.getpid())
            and found.pid_start > 0
            and started_at(pid) == found.pid_start
            and holds(pid, os.fstat(self._descriptor))
        )
        if not proved:
            return
        try:
            if os.getpgid(pid) == pid and pid != os.getpgid(0):
                os.killpg(pid, signal.SIGKILL)
            else:
                os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return

    def close(self) -> None:
        """Give it back."""
        os.close(self._descriptor)
