"""Writes a tar file that is the same, byte by byte, wherever and whenever it is built from the same files."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from lutfarm.bundle.elf import MAGIC
from lutfarm_jobs.errors import SpecError

STAMP_S = 315_532_800  # 1980-01-01: some tars complain about 1970
_FILE, _PROGRAM, _FOLDER = 0o644, 0o755, 0o755


@dataclass(frozen=True, slots=True)
class Written:
    """What was written."""

    sha256: str
    size_bytes: int
    files: int


class _Hashing(io.RawIOBase):
    """Passes on what is written, and adds it up."""

    def __init__(self, sink: IO[bytes]) -> None:
        self._sink = sink
        self.sha256 = hashlib.sha256()
        self.size_bytes = 0

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: bytes, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """All of it."""
        self._sink.write(data)
        self.sha256.update(data)
        self.size_bytes += len(data)
        return len(data)


def write_tar(files: Mapping[str, Path], target: Path) -> Written:
    """Write `files`, path in the archive to file here, as a plain tar: sorted, one time, owner 0, no links.

    Folders have entries of their own.  Programs and libraries (ELF files) are executable, nothing else is.
    """
    folders = {str(parent) for name in files for parent in PurePosixPath(name).parents} - {"."}
    if clash := sorted(folders & files.keys()):
        raise SpecError(f"the bundle would hold {clash[0]!r} both as a file and as a folder")
    with target.open("wb") as sink:
        hashing = _Hashing(sink)
        with tarfile.open(fileobj=hashing, mode="w|", format=tarfile.USTAR_FORMAT) as archive:
            for name in sorted(folders | files.keys()):
                _add(archive, name, files.get(name))
    return Written(hashing.sha256.hexdigest(), hashing.size_bytes, len(files))


def _add(archive: tarfile.TarFile, name: str, path: Path | None) -> None:
    info = tarfile.TarInfo(name)
    info.mtime = STAMP_S
    if path is None:
        info.type, info.mode = tarfile.DIRTYPE, _FOLDER
        archive.addfile(info)
        return
    with path.open("rb") as source:
        info.mode = _PROGRAM if source.read(4) == MAGIC else _FILE
        source.seek(0)
        info.size = path.stat().st_size
        archive.addfile(info, source)
