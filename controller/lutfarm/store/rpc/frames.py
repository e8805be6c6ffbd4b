"""How an answer lies on the wire: a result is JSON; a stream is lines, each with a mark first, and says when it has ended."""

from __future__ import annotations

import json
from typing import Any, cast

from lutfarm_jobs.errors import FarmError, StoreError, from_wire

ITEM, FAILED, END = b"+", b"!", b"."
JSON, LINES = "application/json", "application/x-ndjson"


def dump_error(error: FarmError) -> bytes:
    """Its code and detail, as JSON."""
    return json.dumps({"code": error.code, "detail": error.detail}).encode()


def load_error(content: bytes) -> FarmError:
    """The error that `dump_error` wrote; a StoreError that quotes what is none."""
    try:
        found: Any = json.loads(content)
        if isinstance(found, dict):
            said = cast(dict[str, Any], found)
            return from_wire(str(said["code"]), str(said["detail"]))
    except (ValueError, KeyError):
        pass
    return StoreError(f"the farm's server answered with something else than an error of its own: {content[:200]!r}")
