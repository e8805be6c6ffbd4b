"""What an ELF file says of the libraries that it needs.  Pure; 64-bit little-endian files only.

Layouts: System V ABI, generic part, chapters 4 and 5.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from lutfarm_jobs.errors import SpecError

MAGIC = b"\x7fELF"
_CLASS_64_LITTLE = b"\x02\x01"
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_DYNAMIC = struct.Struct("<qQ")
_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_NULL, _DT_NEEDED, _DT_STRTAB = 0, 1, 5
_MOST_ENTRIES = 10_000


@dataclass(frozen=True, slots=True)
class Elf:
    """Machine number of the ELF header, and the names of the libraries that the loader must find."""

    machine: int
    needed: tuple[str, ...]


def is_elf(content: bytes) -> bool:
    """Whether it begins as an ELF file does."""
    return content[:4] == MAGIC


def read_elf(content: bytes, name: str) -> Elf:
    """Read the headers of one file.  Raises SpecError, which quotes `name`, where they make no sense."""
    if not is_elf(content) or content[4:6] != _CLASS_64_LITTLE:
        raise SpecError(f"{name}: not a 64-bit little-endian ELF file")
    try:
        header = _HEADER.unpack_from(content)
        at, size, count = header[5], header[9], header[10]
        segments = [_SEGMENT.unpack_from(content, at + index * size) for index in range(count)]
        return Elf(header[2], _needed(content, segments))
    except (struct.error, OverflowError, ValueError) as error:
        raise SpecError(f"{name}: a broken ELF file: {error}") from error


def _needed(content: bytes, segments: list[tuple[int, ...]]) -> tuple[str, ...]:
    dynamic = next((segment for segment in segments if segment[0] == _PT_DYNAMIC), None)
    if dynamic is None:
        return ()
    names: list[int] = []
    strings = 0
    for index in range(min(_MOST_ENTRIES, dynamic[5] // _DYNAMIC.size)):
        tag, value = _DYNAMIC.unpack_from(content, dynamic[2] + index * _DYNAMIC.size)
        if tag == _DT_NULL:
            break
        if tag == _DT_NEEDED:
            names.append(value)
        elif tag == _DT_STRTAB:
            strings = _offset(segments, value)
    return tuple(_string(content, strings + name) for name in names)


def _offset(segments: list[tuple[int, ...]], address: int) -> int:
    """Where in the file an address of the loaded program lies."""
    for kind, _, offset, start, _, in_file, _, _ in segments:
        if kind == _PT_LOAD and start <= address < start + in_file:
            return offset + address - start
    raise ValueError(f"nothing of the file is loaded at {address:#x}")


def _string(content: bytes, at: int) -> str:
    return content[at : content.index(b"\0", at)].decode("ascii")
