"""A run's slices as bytes and back.

Version 3: the magic `LFS3`, the CRC-32 of what follows, how many slices and how many samples; then four groups of numbers.  Each
but the last has columns, which are over all slices:

- pass index, quiet, gated, involuntary switches, iterations in a block, how many samples;
- canary before and after;
- waited, wall and CPU time, time spent ready without a core (-1: not known);
- the samples of all slices in a row.

First each group's base (int64) and the width of its numbers above that (1, 2, 4 or 8 bytes; 0: all are the base), then the
numbers.  Little-endian, times in ns.

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
_COLUMNS = 6, 2, 4  # of the first three groups
_HEAD = struct.Struct("<4sIII" + "qB" * 4)
_COUNTED = struct.Struct("<II" + "qB" * 4)
_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
_WIDTHS: tuple[int, ...] = (0, *(1,) * 8, *(2,) * 8, *(4,) * 16, *(8,) * 32)  # by how many bits a number has
_FIELDS = attrgetter(
    "pass_index",
    "quiet",
    "gated",
    "involuntary_switches",
    "block",
    "canary_before_ns",
    "canary_after_ns",
    "waited_ns",
    "wall_ns",
    "cpu_ns",
    "run_delay_ns",
    "samples_ns",
)


def encode_slices(slices: Sequence[Slice]) -> bytes:
    """The blob of a run's slices."""
    if not slices:
        return _framed(0, 0, (0, 0) * 4, b"")
    index, quiet, gated, switches, block, before, after, waited, wall, cpu, delays, samples = zip(
        *map(_FIELDS, slices), strict=True
    )
    if None in delays:
        delays = [-1 if delay is None else delay for delay in delays]
    numbers = list(chain.from_iterable(samples))
    packed = (
        _packed((*index, *quiet, *gated, *switches, *block, *map(len, samples)), likely=1),
        _packed((*before, *after)),
        _packed((*waited, *wall, *cpu, *delays), likely=4),
        _packed(numbers or (0,)),
    )
    shapes = [number for base, width, _ in packed for number in (base, width)]
    return _framed(len(slices), len(numbers), shapes, b"".join([body for _, _, body in packed]))


def _packed(group: Sequence[int], *, likely: int = 0) -> tuple[int, int, bytes]:
    """Base, width and numbers; the likely width is taken where they fit, which is found out sooner than the least one."""
    if likely:
        try:
            return 0, likely, struct.pack(f"<{len(group)}{_CODES[likely]}", *group)
        except struct.error:
            pass
    least, most = int(min(group)), int(max(group))
    width = _WIDTHS[(most - least).bit_length()]
    if not width:
        return least, 0, b""
    if least >= 0 and _WIDTHS[most.bit_length()] == width:
        least = 0  # another base would save nothing
    above = [number - least for number in group] if least else group
    return least, width, struct.pack(f"<{len(group)}{_CODES[width]}", *above)


def _framed(slices: int, samples: int, shapes: Sequence[int], body: bytes) -> bytes:
    checked = _COUNTED.pack(slices, samples, *shapes) + body
    return MAGIC + zlib.crc32(checked).to_bytes(4, "little") + checked


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
        counts = [slices * columns for columns in _COLUMNS] + [samples]
        return _slices(slices, *_groups(blob, counts, shapes)) if slices else ()
    except (struct.error, KeyError) as error:
        raise StoreError(f"a run's samples are damaged: {error}") from error


def _groups(blob: bytes, counts: Sequence[int], shapes: Sequence[int]) -> Iterator[Sequence[int]]:
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


def _slices(
    slices: int, small: Sequence[int], canaries: Sequence[int], times: Sequence[int], samples: Sequence[int]
) -> tuple[Slice, ...]:
    index, quiet, gated, switches, block, counts = _split(small, slices)
    before, after = _split(canaries, slices)
    waited, wall, cpu, delays = _split(times, slices)
    if min(counts) < 0 or sum(counts) != len(samples) or min(block) < 1:
        raise StoreError("a run's samples are damaged: the blob contradicts itself")
    pieces = [tuple(samples[start:end]) for start, end in pairwise(accumulate(counts, initial=0))]
    known = [None if delay < 0 else delay for delay in delays]
    quiet, gated = map(bool, quiet), map(bool, gated)
    return tuple(map(Slice, index, pieces, before, after, quiet, gated, switches, waited, wall, cpu, known, block))


def _split(group: Sequence[int], length: int) -> list[Sequence[int]]:
    return [group[at : at + length] for at in range(0, len(group), length)]
