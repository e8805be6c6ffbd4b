"""What a model put out, as flat arrays, and how far two of them are apart; with numpy, which every real runtime brings along."""
# numpy is no dependency of the runner's host side check
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from typing import Any, Iterator, Mapping, cast

import numpy as np

CHUNK = 1 << 20  # elements that are compared at a time: a copy in float64 of all may not fit
STABLE = 1e-4  # relative to the largest: threads may sum in another order


def rows(value: Any) -> Iterator[Any]:
    """Copies of all that an output holds, each flat: one of a tensor, one for each part of a list or mapping, none of nothing.

    Numbers keep their type (complex ones become pairs), texts are objects, and what numpy has no arithmetic for its bits.
    """
    if isinstance(value, Mapping):
        found = cast(Mapping[Any, Any], value)
        yield from rows(list(found))
        yield from rows(list(found.values()))
    elif isinstance(value, (list, tuple)) and not _plain(value):
        for part in cast("list[Any]", value):
            yield from rows(part)
    elif value is not None:
        row: Any = np.array(value).ravel()
        if row.dtype.kind == "c":
            row = row.view(row.real.dtype)
        if row.dtype.kind in "OUS":
            if all(isinstance(text, (str, bytes)) for text in row.tolist()):
                yield row.astype(object)
        else:
            yield row if row.dtype.kind in "fiub" else row.view(np.uint8)


def _plain(value: Any) -> bool:
    """A list of numbers or texts alone: many runtimes put out one of a hundred thousand."""
    return bool(value) and all(isinstance(item, (bool, int, float, str, bytes)) for item in value)


def bits(data: bytes, count: int, width: int) -> Any:
    """The bytes of `count` elements of `width` bits, what pads the last byte cleared."""
    row = np.frombuffer(data, np.uint8).copy()
    if used := count * width % 8:
        row[-1] &= (1 << used) - 1
    return row


def from_bfloat16(data: bytes) -> Any:
    """As float32."""
    return (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)


def _float8_values(bias: int, mantissa_bits: int, *, ieee: bool, nan: int) -> Any:
    """What each of the 256 bytes means: with infinities above `nan` (IEEE), or finite numbers but for `nan`."""
    codes = np.arange(256)
    sign = np.where(codes >= 128, -1.0, 1.0)
    exponent, mantissa = (codes & 127) >> mantissa_bits, codes & ((1 << mantissa_bits) - 1)
    fraction = mantissa / (1 << mantissa_bits)
    values = sign * np.where(exponent == 0, fraction * 2.0 ** (1 - bias), (1 + fraction) * 2.0 ** (exponent - bias))
    if ieee:
        values = np.where(exponent == 31, np.where(mantissa == 0, sign * np.inf, np.nan), values)
    else:
        values[[nan, nan | 128]] = np.nan  # of those without a second zero, both are one code
    return values.astype(np.float32)


_FLOAT8 = {  # as the onnx specification has them
    "float8e4m3fn": lambda: _float8_values(7, 3, ieee=False, nan=127),
    "float8e4m3fnuz": lambda: _float8_values(8, 3, ieee=False, nan=128),
    "float8e5m2": lambda: _float8_values(15, 2, ieee=True, nan=127),
    "float8e5m2fnuz": lambda: _float8_values(16, 2, ieee=False, nan=128),
    "float8e8m0": lambda: np.where(np.arange(256) == 255, np.nan, 2.0 ** (np.arange(256) - 127.0)).astype(np.float32),
}


def from_float8(data: bytes, kind: str) -> Any:
    """As float32; `kind` is ONNX's name in small letters."""
    return _FLOAT8[kind]()[np.frombuffer(data, np.uint8)]


def difference(one: Any, other: Any) -> float:
    """The largest absolute difference of two rows' finite elements.

    Infinite where they differ in size or kind, in a text, or in which elements are NaN or which infinity.
    """
    if one.shape != other.shape or one.dtype != other.dtype:
        return float("inf")
    if one.dtype == object:
        return 0.0 if one.tolist() == other.tolist() else float("inf")
    apart = 0.0
    for start in range(0, one.size, CHUNK):
        apart = max(apart, _difference(one[start : start + CHUNK], other[start : start + CHUNK]))
    return apart


def _difference(one: Any, other: Any) -> float:
    if np.array_equal(one, other):
        return 0.0
    one, other = one.astype(np.float64), other.astype(np.float64)
    finite = np.isfinite(one) & np.isfinite(other)
    odd, even = one[~finite], other[~finite]
    if not bool(((odd == even) | (np.isnan(odd) & np.isnan(even))).all()):
        return float("inf")
    return float(np.abs(one[finite] - other[finite]).max(initial=0.0))


def largest(row: Any) -> float:
    """The largest absolute value of a row's finite elements; 0 where there is none."""
    if row.dtype == object:
        return 0.0
    found = 0.0
    for start in range(0, row.size, CHUNK):
        part = row[start : start + CHUNK].astype(np.float64)
        found = max(found, float(np.abs(part[np.isfinite(part)]).max(initial=0.0)))
    return found


def nans(row: Any) -> int:
    """How many elements are NaN."""
    return int(np.isnan(row).sum()) if row.dtype.kind == "f" else 0


def finite(row: Any) -> bool:
    """Whether a row holds neither NaN nor an infinity."""
    return row.dtype.kind != "f" or bool(np.isfinite(row).all())


def tolerance(row: Any) -> float:
    """By how much of the largest two runs may differ: a sum in another order may fall on the next number of the type."""
    return max(STABLE, 2 * float(np.finfo(row.dtype).eps)) if row.dtype.kind == "f" else STABLE
