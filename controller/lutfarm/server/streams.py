"""How many clients listen to events at once."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from lutfarm_jobs.errors import ServerBusy


class Streams:
    """How many listen now."""

    def __init__(self, most: int) -> None:
        self._most, self._now = most, 0

    def require_room(self) -> None:
        """Raises ServerBusy."""
        if self._now >= self._most:
            raise ServerBusy(f"{self._most} listen already; ask for the job itself now and then instead")

    async def counted(self, events: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        """The same, counted while it is listened to."""
        self._now += 1
        try:
            async for event in events:
                yield event
        finally:
            self._now -= 1
