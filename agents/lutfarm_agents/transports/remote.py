"""Devices at the far end of a link that have a POSIX shell: what ADB and SSH have in common.

A spawned process carries a token in its environment, and a note on the device names the host that started it.  So
everything it started can be found and ended, from this connection or from a later one, whatever sessions it made.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import shlex
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from lutfarm_agents.process_identity import me, parse
from lutfarm_agents.sanitize import clean
from lutfarm_agents.transports.end_marked import END_MARKED
from lutfarm_agents.transports.interface import Completed, Exit, RemoteProcess
from lutfarm_agents.transports.lines import LineReader, ending_words
from lutfarm_agents.transports.shell_files import SLOWEST_DISK_BYTES_PER_S
from lutfarm_agents.transports.writable import is_unwritable, unwritable
from lutfarm_jobs.atomic_files import DRAFT, replacing
from lutfarm_jobs.errors import ConnectFailed, LinkError, LinkLost, NotReady, ReplyTimeout, TransferFailed

COMMAND_S = 20.0  # a small command on a busy board
START_S = 20.0  # until a spawned process is known to run
SEND_S = 8.0  # a link that takes nothing for so long is lost
OUTPUT_LIMIT_BYTES = 1 << 20
STARTED = "lutfarm-started"
UNWRITABLE = "lutfarm-unwritable"

# What a process gets of the device's own environment; nothing that tunes Python or a runtime.
KEPT = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "TMPDIR",
    "ANDROID_ROOT",
    "ANDROID_DATA",
    "ANDROID_ART_ROOT",
    "ANDROID_I18N_ROOT",
    "ANDROID_TZDATA_ROOT",
    "QEMU_CPU",
)

# $1 root  $2 token  $3 owner, then the command.
START = """umask 077
root=$1 token=$2 owner=$3
shift 3
mkdir -p "$root/running" && cd "$root" && echo "$owner" >"running/$token" || {
    rm -f "$root/running/$token"
    echo lutfarm-unwritable
    exit 126
}
command -v "$1" >/dev/null || { echo "$1 is not a program there" >&2; rm -f "running/$token"; exit 127; }
echo lutfarm-started
"$@"
status=$?
rm -f "$root/running/$token"
exit $status"""

# $1 mark  $2 root  $3 token
END = (
    END_MARKED
    + """
rm -f "$2/running/$3"
[ $turn -lt 20 ]"""
)

# $1 root.  One note a line: token, owner.  And away with what broken copies left.  Another lutfarm may be copying, so only
# what had no byte for an hour by the device's own clock: a link that takes nothing for SEND_S is lost, unpacking ends
# within ten minutes, and a bundle's .part has its .tar beside it for as long.
LEFT = """cd "$1" 2>/dev/null || exit 0
find . -maxdepth 2 -type f '(' -name '.incoming-*' -o -path './bundles/*.tar' ')' -mmin +60 -exec rm -f {} ';' 2>/dev/null
for part in bundles/*.part; do
    [ -d "$part" ] && [ ! -e "${part%.part}.tar" ] && rm -rf "$part"
done
cd running 2>/dev/null || exit 0
for note in *; do
    [ -f "$note" ] && read -r owner <"$note" && echo "$note $owner"
done
exit 0"""

# $1 root  $2 folder of the file.
PLACE = """mkdir -p "$1" "$2" && cd "$1" && pwd -P && cd "$2" && pwd -P"""
KNOWN_PLACE = """cd "$1" && pwd -P && cd "$2" && pwd -P"""

# A file is on the disk before it has its name: where the power fails, one of that name is whole or absent.  toybox and
# busybox have fsync; coreutils' sync takes a file.  adbd gives a pushed file's group and others what its owner may do.
# Its time is the device's own, whatever adbd was told: see LEFT.
INTO_PLACE = 'touch "$1" && chmod 644 "$1" && { fsync "$1" 2>/dev/null || sync "$1"; } && mv -f "$1" "$2"'

# $1 the file that did not get into its place  $2 root.  What is free afterwards, and why nothing can be written there.
TIDY = 'rm -f -- "$1"; df -Pk "$2"; (: >"$1") 2>&1 && rm -f -- "$1"'
SPARE_BYTES = 1 << 16  # a disk with less than this beyond a file is full


class RemoteChannel:
    """A spawned process, spoken to in lines."""

    def __init__(self, process: RemoteProcess, end: Callable[[], None]) -> None:
        self._process = process
        self._end = end
        self._lines = LineReader(process.read, ended=self._ending)

    def send(self, line: str) -> None:
        """Write one line.  Raises LinkLost."""
        self._process.write(line.encode() + b"\n", SEND_S)

    def receive(self, timeout_s: float) -> str:
        """The next line.  Raises ReplyTimeout, LinkLost, ProtocolMismatch."""
        return self._lines.next(timeout_s)

    def wait(self, timeout_s: float) -> Exit:
        """How it ended.  Raises ReplyTimeout, LinkLost."""
        status = self._process.status(timeout_s)
        if status is None:
            raise ReplyTimeout(f"the process on the device did not end within {timeout_s:g} s")
        tail = self._process.stderr_tail
        return Exit(status, None, tail) if status >= 0 else Exit(None, -status, tail)

    def kill(self) -> None:
        """End it and everything that it started; no error if that is gone, or the link."""
        self._end()

    def _ending(self) -> str:
        try:
            return ending_words(self.wait(2.0))
        except LinkError:
            return "the process on the device closed its output"


_live: set[str] = set()  # tokens of this process's sessions
_live_lock = threading.Lock()


class RemoteTransport(ABC):
    """Files under `root` and processes of one device, through its shell."""

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/") or "/"

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is unusual about the way there and is got round."""
        return ()

    # What a link must offer

    @abstractmethod
    def _start(self, command: str) -> RemoteProcess:
        """Run a command line of the device's shell.  Raises LinkError."""

    @abstractmethod
    def _push(self, local: Path, remote: str) -> None:
        """Copy a file to a name that nothing has.  Raises LinkError, OSError of the local side."""

    @abstractmethod
    def _pull(self, remote: str, local: Path) -> None:
        """Copy a file to an open name.  Raises LinkError, OSError of the local side."""

    @abstractmethod
    def _is_file(self, remote: str) -> bool:
        """Whether a regular file is there; a link is none.  Raises LinkError."""

    @abstractmethod
    def _connected(self) -> bool:
        """Whether there is a connection, as far as is known."""

    @abstractmethod
    def close(self) -> None:
        """Release the connection."""

    # What follows from it

    def run(self, argv: Sequence[str], *, timeout_s: float = COMMAND_S) -> Completed:
        """A small command, to its end.  Raises LinkError; ReplyTimeout after timeout_s, and it is ended."""
        token = secrets.token_hex(16)
        done = self._done(argv, token, timeout_s)
        if isinstance(done, LinkError):
            self._end(token)
            raise done
        return done

    def _done(self, argv: Sequence[str], token: str, timeout_s: float) -> Completed | LinkError:
        """The error: it goes on.  Raises LinkError where the link broke."""
        deadline_s = time.monotonic() + timeout_s
        process = self._start(command_line(argv, {"LUTFARM_SESSION": token}))
        said = bytearray()
        try:
            while data := process.read(max(0.0, deadline_s - time.monotonic())):
                said += data
                if len(said) > OUTPUT_LIMIT_BYTES:
                    return LinkLost(f"{argv[0][:80]} on the device said more than {OUTPUT_LIMIT_BYTES} bytes")
            status = None if data is None else process.status(max(0.5, deadline_s - time.monotonic()))
            if status is None:
                return ReplyTimeout(f"{argv[0][:80]} on the device did not end within {timeout_s:g} s")
            return Completed(status, bytes(said), process.stderr_tail)
        finally:
            process.close()

    def put(self, local: Path, remote: str) -> None:
        """Copy, make durable, then rename into place.

        Raises NotReady where the disk is full, TransferFailed, or what broke the link.
        """
        path = self._inside(remote)
        if not local.is_file():
            raise TransferFailed(f"{local} could not be copied to the device: it is no file")
        incoming = f"{path.parent}/{DRAFT}{secrets.token_hex(8)}"
        try:
            self._check_place(PLACE, path)
            self._push(local, incoming)
            settle_s = COMMAND_S + local.stat().st_size / SLOWEST_DISK_BYTES_PER_S
            moved = self.run(["sh", "-c", INTO_PLACE, "sh", incoming, str(path)], timeout_s=settle_s)
            if moved.code != 0:
                raise TransferFailed(f"{remote[:200]} could not be put in place: {moved.stderr.strip()[-300:]}")
        except (LinkError, OSError) as error:
            self._tidy(local, incoming, error)
            if isinstance(error, LinkError):
                raise
            raise TransferFailed(f"{local} could not be copied to the device: {error}") from error

    def _tidy(self, local: Path, incoming: str, error: Exception) -> None:
        """Remove what a broken copy left.  Raises NotReady where there is no room for the file, or nothing can be written."""
        try:
            done = self.run(["sh", "-c", TIDY, "sh", incoming, self.root])
            needed = local.stat().st_size
        except (LinkError, OSError):  # the link is gone: what is left there, a later `reap` removes
            return
        found = re.findall(rb"\s\d+\s+\d+\s+(\d{1,15})\s+\d+%", done.stdout)
        if found and int(found[-1]) * 1024 < needed + SPARE_BYTES:
            free = int(found[-1]) * 1024
            raise NotReady(
                f"the device's disk is full: {self.root} has {free / 1e6:.1f} MB free, {needed / 1e6:.1f} MB are needed; "
                "free space there"
            ) from error
        why = clean(done.stdout.decode("utf-8", "replace"), OUTPUT_LIMIT_BYTES)
        if is_unwritable(why):
            raise unwritable(self.root, why[-300:]) from error

    def get(self, remote: str, local: Path) -> None:
        """Copy back, atomically.  Raises TransferFailed, or what broke the link."""
        path = self._inside(remote)
        self._check_place(KNOWN_PLACE, path)
        try:
            with replacing(local, mode=0o600, durable=False) as draft:
                self._pull(str(path), Path(draft.name))
        except OSError as error:
            raise TransferFailed(f"{remote[:200]} could not be copied to {local}: {error}") from error

    def exists(self, remote: str) -> bool:
        """Whether a regular file is there; a link is none.  Raises LinkError."""
        return self._is_file(str(self._inside(remote)))

    @contextmanager
    def spawn(self, argv: Sequence[str], *, env: Mapping[str, str]) -> Generator[RemoteChannel]:
        """Start argv; leaving the block ends it and everything it started, or leaves that to `reap`."""
        token = secrets.token_hex(16)
        command = ["sh", "-c", START, "sh", self.root, token, str(me()), *argv]
        with _live_lock:
            _live.add(token)
        try:
            process = self._start(command_line(command, {**env, "LUTFARM_SESSION": token}))
            try:
                channel = RemoteChannel(process, lambda: self._end(token))
                _await_start(channel, argv[0], self.root)
                yield channel
            except ReplyTimeout:  # a link over which nothing comes is no link
                self.close()
                raise
            finally:
                process.close()
                if self._connected():  # else the next reap ends it: a new connection may take long
                    self._end(token)
        finally:
            with _live_lock:
                _live.discard(token)

    def reap(self) -> int:
        """End what a host that is gone, or a link of this one that broke, left behind; how many.

        Old files of broken copies are removed, and bundles that were never unpacked to their end.
        """
        ended = 0
        for line in self.run(["sh", "-c", LEFT, "sh", self.root]).stdout.decode("utf-8", "replace").splitlines():
            token, _, owner = line.partition(" ")
            if re.fullmatch(r"[0-9a-f]{32}", token) and _is_gone(token, owner.strip()):
                self._end(token)
                ended += 1
        return ended

    def _end(self, token: str) -> None:
        with contextlib.suppress(LinkError):  # gone with the link: the next reap ends it
            self._done(["sh", "-c", END, "sh", f"LUTFARM_SESSION={token}", self.root, token], secrets.token_hex(16), COMMAND_S)

    def _inside(self, remote: str) -> PurePosixPath:
        path = PurePosixPath(remote)
        fits = path.is_absolute() and ".." not in path.parts and path.is_relative_to(self.root) and str(path) != self.root
        if not fits or "\0" in remote or "\n" in remote:
            raise TransferFailed(f"{remote[:200]!r} is not an absolute path inside {self.root}")
        return path

    def _check_place(self, script: str, path: PurePosixPath) -> None:
        """Make the file's folder; no link on the way may lead out."""
        found = self.run(["sh", "-c", script, "sh", self.root, str(path.parent)])
        places = found.stdout.decode("utf-8", "replace").splitlines()
        if found.code != 0 or len(places) != 2:
            why = clean(found.stderr[-300:], 300)
            raise (
                unwritable(self.root, why)
                if script == PLACE
                else TransferFailed(f"{path.parent} on the device can't be used: {why}")
            )
        if not PurePosixPath(places[1]).is_relative_to(places[0]):
            raise TransferFailed(f"{str(path)[:200]!r} is not inside {self.root}: {path.parent} leads to {places[1][:200]}")


def command_line(argv: Sequence[str], env: Mapping[str, str]) -> str:
    """One line for the device's shell: every word quoted, the environment clean."""
    kept = " ".join(f'${{{name}:+"{name}=${name}"}}' for name in KEPT)
    own = shlex.join(f"{name}={value}" for name, value in env.items())
    return f"exec env -i {kept} {own} {shlex.join(argv)}"


def _await_start(channel: RemoteChannel, program: str, root: str) -> None:
    """Until the process is known to run.

    Raises NotReady where the device's folder can't be written, ConnectFailed with what the device said instead.
    """
    try:
        said = channel.receive(START_S)
    except LinkLost as error:
        raise ConnectFailed(f"{program[:200]} could not be started: {error.detail}") from error
    if said == UNWRITABLE:
        why = " ".join(clean(channel.wait(2.0).stderr_tail, 300).split())
        raise unwritable(root, why)
    if said != STARTED:
        raise ConnectFailed(f"{program[:200]} could not be started: the device said {said[:80]!r}")


def _is_gone(token: str, owner: str) -> bool:
    """Whether nobody uses that session: its host's process ended, or it is one that this process gave up.

    What another machine started is left alone: the device's lock decides between machines.
    """
    process = parse(owner)
    if process is not None and process == me():
        with _live_lock:
            return token not in _live
    return process is not None and process.has_ended
