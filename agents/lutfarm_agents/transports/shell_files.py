"""Files through a device's shell alone, where nothing better is offered there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from lutfarm_agents.sanitize import clean
from lutfarm_agents.transports.interface import Completed, RemoteProcess
from lutfarm_jobs.errors import LinkLost, TransferFailed

CHUNK_BYTES = 1 << 18
SILENCE_S = 8.0  # a link that takes or gives nothing for so long is lost
SLOWEST_DISK_BYTES_PER_S = 2_000_000  # an old SD card

# $1 how many bytes come  $2 the file.
TAKE = 'head -c "$1" >"$2" && [ "$(wc -c <"$2")" -eq "$1" ]'
GIVE = 'cat <"$1"'
IS_FILE = '[ -f "$1" ] && [ ! -L "$1" ]'

Start = Callable[[Sequence[str]], RemoteProcess]


def push(start: Start, local: Path, remote: str) -> None:
    """Raises LinkError, OSError of the local side."""
    size_bytes = local.stat().st_size
    process = start(["sh", "-c", TAKE, "sh", str(size_bytes), remote])
    try:
        with local.open("rb") as source:
            try:
                while data := source.read(CHUNK_BYTES):
                    process.write(data, SILENCE_S)
            except LinkLost as error:
                if process.status(2.0) is None:
                    raise
                raise _refused(process, f"{local} could not be copied to {remote[:200]}") from error
        if process.status(SILENCE_S + size_bytes / SLOWEST_DISK_BYTES_PER_S) != 0:
            raise _refused(process, f"{local} could not be copied to {remote[:200]}")
    finally:
        process.close()


def pull(start: Start, remote: str, local: Path) -> None:
    """Raises LinkError, OSError of the local side."""
    process = start(["sh", "-c", GIVE, "sh", remote])
    try:
        with local.open("wb") as target:
            while data := process.read(SILENCE_S):
                target.write(data)
        if data is None or process.status(SILENCE_S) != 0:
            raise _refused(process, f"{remote[:200]} could not be copied to {local}")
    finally:
        process.close()


def is_file(run: Callable[[Sequence[str]], Completed], remote: str) -> bool:
    """Raises LinkError."""
    return run(["sh", "-c", IS_FILE, "sh", remote]).code == 0


def _refused(process: RemoteProcess, what: str) -> TransferFailed:
    return TransferFailed(f"{what}: {clean(process.stderr_tail, 300) or 'it did not arrive whole'}")
