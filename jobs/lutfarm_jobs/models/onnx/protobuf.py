"""The protobuf wire format, read without building anything: a hostile file can't cost more than its fields.

Parsed by a library, a file of 2 GB that holds nothing but empty messages becomes 100 GB of objects.
"""

from __future__ import annotations

from collections.abc import Iterator

from lutfarm_jobs.models.bounds import LONGEST_NAME_BYTES, Budget, Malformed

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


Value = int | memoryview


def fields(message: memoryview, budget: Budget) -> Iterator[tuple[int, Value]]:
    """(number, value) of each field in order: an int, or the bytes of a message, string or packed list."""
    position, end = 0, len(message)
    while position < end:
        budget.spend()
        tag, position = _varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _VARINT:
            value, position = _varint(message, position)
            yield number, value
            continue
        if wire_type == _BYTES:
            size, position = _varint(message, position)
        elif wire_type in (_FIXED64, _FIXED32):
            size = 8 if wire_type == _FIXED64 else 4
        else:
            raise Malformed(f"a field of wire type {wire_type} stands at its byte {position}")
        if size > end - position:
            raise Malformed(f"a field of {size} bytes goes beyond its end")
        yield number, message[position : position + size]
        position += size


def integers(value: Value, budget: Budget) -> Iterator[int]:
    """The elements of a repeated integer field, packed or not, as signed 64-bit numbers."""
    if isinstance(value, int):
        yield signed(value)
        return
    position = 0
    while position < len(value):
        budget.spend()
        element, position = _varint(value, position)
        yield signed(element)


def signed(value: int) -> int:
    """An int64 from its varint."""
    return value - (1 << 64) if value >= 1 << 63 else value


def text(value: Value) -> str:
    """A string field, of which only the first 1,000 bytes are read; what is no UTF-8 is replaced."""
    return bytes(nested(value)[:LONGEST_NAME_BYTES]).decode("utf-8", errors="replace")


def nested(value: Value) -> memoryview:
    """The bytes of a length-delimited field.  Raises Malformed for a number."""
    if isinstance(value, int):
        raise Malformed("a number stands where a message belongs")
    return value


def number(value: Value) -> int:
    """The value of an integer field.  Raises Malformed for bytes."""
    if isinstance(value, int):
        return signed(value)
    raise Malformed("a message stands where a number belongs")


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    result = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise Malformed("it ends within a number")
        byte = message[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & ((1 << 64) - 1), position
    raise Malformed("a number has more than ten bytes")
