"""Server-sent events, as the server's api/events.py writes them.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def events(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Name and data of each event; remarks, and what breaks off in the middle, are left out."""
    name, data = "", list[str]()
    for line in lines:
        if not line:
            if name or data:
                yield name or "message", "\n".join(data)
            name, data = "", []
        elif line.startswith("event:"):
            name = line.removeprefix("event:").removeprefix(" ")
        elif line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
