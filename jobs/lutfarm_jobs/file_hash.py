"""Files by their content: the SHA-256 that names a model, a bundle and the runner."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import BinaryIO

_CHUNK_BYTES = 1 << 20


def sha256_of(file: BinaryIO) -> str:
    """In hex, of the whole of an open file, wherever it stands.  Raises OSError."""
    digest = hashlib.sha256()
    file.seek(0)
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """In hex.  Raises OSError."""
    with path.open("rb") as file:
        return sha256_of(file)


def copy(source: BinaryIO, target: BinaryIO) -> tuple[str, int]:
    """Copy from the start; returns SHA-256 in hex and size in bytes of what was copied.  Raises OSError."""
    digest, size_bytes = hashlib.sha256(), 0
    source.seek(0)
    while chunk := source.read(_CHUNK_BYTES):
        digest.update(chunk)
        size_bytes += len(chunk)
        target.write(chunk)
    return digest.hexdigest(), size_bytes


def is_sha256(text: str) -> bool:
    """True for 64 lower-case hexadecimal digits."""
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None


def intact_size(path: Path, sha256: str) -> int | None:
    """The size in bytes of a file of that content; None where it is gone, its content is another, or it can't be read."""
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_size if sha256_of(file) == sha256 else None
    except OSError:
        return None
