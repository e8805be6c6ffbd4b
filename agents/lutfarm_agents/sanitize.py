"""Text of devices, fit to be shown and kept."""

from __future__ import annotations


def clean(value: str, limit: int) -> str:
    """Without control characters and terminal escapes; newlines become spaces."""
    return "".join(c if c.isprintable() else " " for c in value[:limit]).strip()
