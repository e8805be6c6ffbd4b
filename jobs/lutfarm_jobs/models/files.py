"""Opening files that people name, and keeping files by content."""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from lutfarm_jobs.atomic_files import replacing, sweep
from lutfarm_jobs.errors import ModelRefused, SpecError, StoreUnwritable

LARGEST_BYTES = 2_000_000_000  # protobuf can't express more, and a .tflite beyond it needs appended data
MODEL = "an .onnx or .tflite file"


@contextmanager
def plain(path: Path, what: str = MODEL) -> Generator[BinaryIO]:
    """A file that somebody named, open for reading: regular, with one name.

    Links are refused: a symbolic link or a second name lets one file stand for another that the job may not
    read.  Raises SpecError naming the file and what to do.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if path.is_symlink():
            raise SpecError(f"{path}: is a symbolic link; name the file itself, or a copy of it") from error
        raise SpecError(f"{path}: can't be read: {error.strerror}") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise SpecError(f"{path}: is no regular file; name {what}")
    with os.fdopen(descriptor, "rb") as file:
        if status.st_nlink > 1:
            links = f"has {status.st_nlink} names (hard links)"
            raise SpecError(f"{path}: {links}; copy it with `cp` and name the copy")
        yield file


@contextmanager
def opened(path: Path, what: str = MODEL, *, most_bytes: int = LARGEST_BYTES) -> Generator[BinaryIO]:
    """The same, neither empty nor too large.  Raises ModelRefused too."""
    with plain(path, what) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        if size_bytes == 0:
            raise ModelRefused(f"{path}: is empty (0 bytes); export or download it again")
        if size_bytes > most_bytes:
            raise ModelRefused(f"{path}: has {size_bytes} bytes; {most_bytes} is the most")
        yield file


def mapped(file: BinaryIO) -> memoryview:
    """The bytes of an open file, without reading those that nobody looks at.

    The mapping ends with the last view of it: an error's traceback may hold some, so that none can close it.
    """
    return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def suffix_of(path: Path) -> Literal[".onnx", ".tflite"]:
    """`.onnx` or `.tflite`.  Raises SpecError for any other."""
    suffix = path.suffix.lower()
    if suffix == ".onnx":
        return ".onnx"
    if suffix == ".tflite":
        return ".tflite"
    raise SpecError(f"{path}: ends in {suffix or 'nothing'}; a model file ends in .onnx or .tflite")


@contextmanager
def cached(path: Path) -> Generator[BinaryIO]:
    """A file of the cache, written by `atomic_files.replacing`, for its owner only.

    A power cut may damage it: whoever reads one checks its SHA-256.  Raises StoreUnwritable where the disk is full or read-only.
    """
    partial = path.parent / ".partial"
    try:
        partial.mkdir(parents=True, exist_ok=True)
        sweep(partial)
        with replacing(path, mode=0o600, durable=False, drafts=partial) as file:
            yield file
    except OSError as error:
        advice = "free space, or choose another --home"
        raise StoreUnwritable(f"{path}: can't be written: {error.strerror}; {advice}") from error
