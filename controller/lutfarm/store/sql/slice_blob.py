"""A run's slices as bytes and back.

Version 3: the magic `LFS3`, the CRC-32 of what follows, how many slices and how many samples; then eleven columns: pass index,
canary before, canary after, flags (1 quiet, 2 gated, 4 for each further iteration of a block), involuntary switches, waited,
wall and CPU time, time spent ready without a core (-1: not known), how many samples, each over all slices; and the samples of
all slices in a row.  First each column's base (int64) and the width of its numbers above that (1, 2, 4 or 8 bytes; 0: all are
the base), then the numbers.  Little-endian, times in ns.

Not compressed: zlib at its fastest takes a quarter off, and twice as long as all this.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, pairwise
from operator import attrgetter

from lutfarm_jobs.errors import StoreError
from lutfarm_jobs.run import Slice

MAGIC = b"LFS3"
LARGEST = 1 << 27  # slices or samples: 1 GiB of numbers
_COLUMNS = 11
_HEAD = struct.Struct("<4sIII" + "qB" * _COLUMNS)
_COUNTED = struct.Struct("<II" + "qB" * _COLUMNS)
_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
_PLAIN = attrgetter(
    "pass_index", "canary_before_ns", "canary_after_ns", "involuntary_switches", "waited_ns", "wall_ns", "cpu_ns", "samples_ns"
)


def encode_slices(slices: Sequence[Slice]) -> bytes:
    """The blob of a run's slices."""
    if not slices:
        return _framed(0, 0, [(0, 0)] * _COLUMNS, b"")
    index, before, after, switches, waited, wall, cpu, samples = zip(*map(_PLAIN, slices), strict=True)
    flags = [s.quiet + 2 * s.gated + 4 * (s.block - 1) for s in slices]
    delays = [-1 if s.run_delay_ns is None else s.run_delay_ns for s in slices]
    numbers = list(chain.from_iterable(samples))
    columns = (index, before, after, flags, switches, waited, wall, cpu, delays, list(map(len, samples)), numbers)
    shapes = list(map(_shape, columns))
    code = "<"
    above: list[Sequence[int]] = []
    for column, (base, width) in zip(columns, shapes, strict=True):
        if width:
            code += f"{len(column)}{_CODES[width]}"
            above.append([number - base for number in column] if base else column)
    return _framed(len(slices), len(numbers), shapes, struct.pack(code, *chain.from_iterable(above)))


def _framed(slices: int, samples: int, shapes: Sequence[tuple[int, int]], body: bytes) -> bytes:
    checked = _COUNTED.pack(slices, samples, *chain.from_iterable(shapes)) + body
    return MAGIC + struct.pack("<I", zlib.crc32(checked)) + checked


def _shape(column: Sequence[int]) -> tuple[int, int]:
    """Base and width; the base is 0 where another one would save nothing."""
    least, most = (min(column), max(column)) if column else (0, 0)
    width = _width(most - least)
    return (0, width) if width and least >= 0 and _width(most) == width else (least, width)


def _width(most: int) -> int:
    return 0 if most == 0 else 1 if most < 1 << 8 else 2 if most < 1 << 16 else 4 if most < 1 << 32 else 8


def decode_slices(blob: bytes) -> tuple[Slice, ...]:
    """The slices of a blob.  Raises StoreError where it is damaged."""
    if blob[:4] != MAGIC:
        raise StoreError(f"a run's samples are damaged: the blob begins with {blob[:4]!r}, not {MAGIC!r}")
    try:
        _, checksum, slices, samples, *shapes = _HEAD.unpack_from(blob)
        if zlib.crc32(blob[8:]) != checksum:
            raise StoreError("a run's samples are damaged: the blob does not have its checksum")
        if max(slices, samples) > LARGEST:
            raise StoreError("a run's samples are damaged: the blob speaks of more than it can hold")
        return _slices(_columns(blob, [slices] * 10 + [samples], shapes), samples) if slices else ()
    except (struct.error, KeyError) as error:
        raise StoreError(f"a run's samples are damaged: {error}") from error


def _columns(blob: bytes, counts: Sequence[int], shapes: Sequence[int]) -> Iterator[Sequence[int]]:
    bases, widths = shapes[::2], shapes[1::2]
    code = "".join(f"{count}{_CODES[width]}" for count, width in zip(counts, widths, strict=True) if width)
    numbers = struct.unpack(f"<{code}", blob[_HEAD.size :])
    at = 0
    for count, base, width in zip(counts, bases, widths, strict=True):
        if not width:
            yield (base,) * count
            continue
        above = numbers[at : at + count]
        at += count
        yield tuple([base + number for number in above]) if base else above


def _slices(columns: Iterator[Sequence[int]], samples: int) -> tuple[Slice, ...]:
    index, before, after, flags, switches, waited, wall, cpu, delays, counts, numbers = columns
    if min(counts) < 0 or sum(counts) != samples or min(flags) < 0:
        raise StoreError("a run's samples are damaged: the blob contradicts itself")
    return tuple(
        map(
            Slice,
            index,
            [numbers[start:end] for start, end in pairwise(accumulate(counts, initial=0))],
            before,
            after,
            [bool(flag & 1) for flag in flags],
            [bool(flag & 2) for flag in flags],
            switches,
            waited,
            wall,
            cpu,
            [None if delay < 0 else delay for delay in delays],
            [1 + flag // 4 for flag in flags],
        )
    )
