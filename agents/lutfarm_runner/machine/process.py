"""When a process started, which tells it from another that got its number again."""

from __future__ import annotations

from pathlib import Path


def started_at(pid: int) -> int:
    """In clock ticks after boot; 0 where it can't be read."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return int(fields[19])
    except (OSError, ValueError, IndexError):
        return 0
