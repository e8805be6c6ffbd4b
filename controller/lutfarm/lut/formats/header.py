"""What every format of our own begins with: which format, which version, the hashes, the manifest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import cache
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from lutfarm.lut.schema.columns import Columns
from lutfarm.lut.schema.manifest import Manifest
from lutfarm.lut.table import LatencyTable
from lutfarm_jobs.errors import SpecError

FORMAT = "lutfarm-table"
VERSION = 4  # 1 had one validation for a whole table; 2 had the unit ns in the names of its columns; 3 called columns otherwise
BEGINNING = 200  # bytes, within which a JSON file says its format
FIELDS = frozenset({"format", "version", "content_hash", "manifest_hash", "manifest"})


def header_of(table: LatencyTable) -> dict[str, Any]:
    """Plain data, in the order in which it is written."""
    manifest = asdict(table.manifest)
    return {
        "format": FORMAT,
        "version": VERSION,
        "content_hash": table.content_hash,
        "manifest_hash": _hash(manifest),
        "manifest": manifest,
    }


def begins(content: bytes) -> bool:
    """Whether it begins as our JSON files do, of whatever version."""
    return f'"{FORMAT}"'.encode() in content[:BEGINNING]


def text_of(value: object) -> str:
    """JSON without NaN, on one line."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def data_of(text: str | bytes) -> Any:
    """From JSON text.  Raises SpecError for what is no JSON, for NaN and infinities."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise SpecError(f"cut or no JSON: {str(error)[:200]}") from error


def checked_header(data: Any) -> dict[str, Any]:
    """The header itself.  Raises SpecError for another file's, and for another version's."""
    if not isinstance(data, dict):
        raise SpecError("no table of lutfarm")
    header = cast("dict[str, Any]", data)
    version = header.get("version")
    if header.get("format") != FORMAT:
        raise SpecError("no table of lutfarm")
    if not isinstance(version, int) or version < 1:
        raise SpecError(f"its version is {str(version)[:40]!r}, which is none")
    if version > VERSION:
        raise SpecError(f"written by a newer lutfarm (table version {version}, this reads {VERSION}): upgrade lutfarm")
    if version < VERSION:
        raise SpecError(f"written by an earlier lutfarm (table version {version}, this reads {VERSION}): export its job again")
    if header.keys() != FIELDS:
        odd = ", ".join(sorted(name[:40] for name in header.keys() ^ FIELDS))
        raise SpecError(f"edited: fields that are missing or unknown: {odd}")
    return header


def table_of(data: Any, columns: Columns) -> LatencyTable:
    """The table, its header checked against its content.  Raises SpecError for one that was edited or cut."""
    header = checked_header(data)
    table = LatencyTable(columns, _manifest(header["manifest"], header["manifest_hash"]))
    if table.content_hash != header["content_hash"]:
        raise SpecError("edited or cut: the entries are not the ones that were written")
    return table


def _hash(manifest: object) -> str:
    canonical = json.dumps(manifest, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _manifest(data: object, expected_hash: object) -> Manifest:
    try:
        if _hash(data) != expected_hash:
            raise SpecError("edited: the manifest is not the one that was written")
        return _adapter().validate_json(text_of(data), strict=True, extra="forbid")
    except ValidationError as error:
        first = error.errors()[0]
        raise SpecError(f"manifest.{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error
    except ValueError as error:  # half a character, or a number like 1e999
        raise SpecError(f"manifest: {str(error)[:200]}") from error


@cache
def _adapter() -> TypeAdapter[Manifest]:
    return TypeAdapter(Manifest)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no latency")
