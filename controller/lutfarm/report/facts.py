"""The head of the report: what a manifest says of the device, the backend, the protocol and the job."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, cast

from lutfarm.report.words import printable

LONGEST = 400


def facts(manifest: object, content_hash: str) -> list[tuple[str, str]]:
    """Name and value of everything that the manifest says, nested names joined with a dot, empty values left out."""
    found = [(_title(name), _text(name, value)) for name, value in _flat("", manifest)]
    return [("table hash", printable(content_hash)), *((name, text) for name, text in found if text)]


def _flat(prefix: str, value: Any) -> list[tuple[str, object]]:
    if is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if not isinstance(value, Mapping):
        return [(prefix, value)]
    inner = cast(Mapping[str, Any], value)
    return [pair for key in inner for pair in _flat(f"{prefix}.{key}" if prefix else str(key), inner[key])]


def _title(name: str) -> str:
    return printable(name.removesuffix("_s").replace("_", " ").replace(".", ": "))


def _text(name: str, value: object) -> str:
    if value is None or value == () or value == []:
        return ""
    if name.endswith("_s") and isinstance(value, int | float) and value > 1e9:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(value))
    if isinstance(value, list | tuple):
        return printable(", ".join(map(str, cast(Sequence[object], value))))[:LONGEST]
    return printable(str(value))[:LONGEST]
