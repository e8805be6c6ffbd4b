"""Reads fields of a message from a device.  Everything is hostile until checked here.

Each function raises ProtocolMismatch that names the field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NoReturn, cast

from lutfarm_agents.sanitize import clean
from lutfarm_jobs.errors import ProtocolMismatch

Message = Mapping[str, object]

LARGEST_NS = 10**13  # about three hours
LARGEST_BYTES = 1 << 50


def decode(line: str) -> Message:
    """A line as an object with a `type` of at most 40 characters; NaN and infinities are refused."""
    try:
        value: object = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ProtocolMismatch(f"the device sent no JSON: {clean(line, 200)!r}") from error
    return entries({"message": value}, "message")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def refuse(name: str, value: object, wanted: str) -> NoReturn:
    """Say which field is wrong and what was seen."""
    raise ProtocolMismatch(f"the device sent {name} = {clean(repr(value), 80)}, not {wanted}")


def integer(message: Message, name: str, low: int, high: int) -> int:
    """A whole number within [low, high]; true and 1.0 are none."""
    value = message.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        refuse(name, value, f"a whole number from {low} to {high}")
    return value


def optional_integer(message: Message, name: str, low: int, high: int) -> int | None:
    """The same, or None where it is null or absent."""
    return None if message.get(name) is None else integer(message, name, low, high)


def duration_ns(message: Message, name: str, *, least: int = 0) -> int:
    """Nanoseconds, below three hours."""
    return integer(message, name, least, LARGEST_NS)


def size_bytes(message: Message, name: str) -> int | None:
    """Bytes, or None."""
    return optional_integer(message, name, 0, LARGEST_BYTES)


def number(message: Message, name: str, low: float, high: float) -> float:
    """A number within [low, high]; what is read as an infinity is outside."""
    value = message.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        refuse(name, value, f"a number from {low:g} to {high:g}")
    return float(value)


def optional_number(message: Message, name: str, low: float, high: float) -> float | None:
    """The same, or None where it is null or absent."""
    return None if message.get(name) is None else number(message, name, low, high)


def boolean(message: Message, name: str) -> bool:
    """True or false; 0 and 1 are none."""
    value = message.get(name)
    if not isinstance(value, bool):
        refuse(name, value, "true or false")
    return value


def text(message: Message, name: str, limit: int) -> str:
    """A string of at most `limit` characters, control characters taken out."""
    value = message.get(name)
    if not isinstance(value, str) or len(value) > limit:
        refuse(name, value, f"a string of at most {limit} characters")
    return clean(value, limit)


def items(message: Message, name: str, most: int) -> list[object]:
    """A list of at most `most` items."""
    value = message.get(name)
    if not isinstance(value, list):
        refuse(name, value, "a list")
    found = cast("list[object]", value)
    if len(found) > most:
        refuse(name, f"{len(found)} items", f"at most {most}")
    return found


def entries(message: Message, name: str, most: int = 64) -> Message:
    """An object of at most `most` fields."""
    value = message.get(name)
    if not isinstance(value, dict):
        refuse(name, value, "an object")
    found = cast("dict[str, object]", value)
    if len(found) > most:
        refuse(name, f"{len(found)} fields", f"at most {most}")
    return found


def integers(message: Message, name: str, *, low: int, high: int, most: int) -> tuple[int, ...]:
    """A list of whole numbers within [low, high]."""
    return tuple(integer({name: item}, name, low, high) for item in items(message, name, most))
