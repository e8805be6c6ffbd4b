"""OnDemandPool: devices are opened in this process, and another pool starts once the first of them has something to measure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from lutfarm.agent_pool.interface import Event, Opening, Order, RecallingPool
from lutfarm.agent_pool.local import LocalPool


class OnDemandPool:
    """An AgentPool whose measuring part may take seconds to start, and is not started for a job that wants nothing.

    What a device says of itself decides what is left to measure, and any process of its host can ask.  Its session here ends
    before its first order to probe or measure goes to the other pool, which opens it again by itself: its hello then comes a
    second time, and counts like that of a link that broke.  To be used from one thread.
    """

    def __init__(self, here: LocalPool, start: Callable[[], RecallingPool]) -> None:
        """`start`: makes the pool that measures; called once, within `submit`.  What it raises, that raises."""
        self._here = here
        self._start = start
        self._started: RecallingPool | None = None
        self._openings: dict[str, Opening] = {}  # by unit, of those that were opened here alone

    @property
    def started(self) -> bool:
        """Whether there was anything to measure."""
        return self._started is not None

    def submit(self, order: Order) -> None:
        """Start it; returns at once, except for the first order to probe or measure, or of a device of another host."""
        if self._started is None and isinstance(order, Opening) and order.device.host == "local":
            self._openings[order.device.name] = order
            self._here.submit(order)
            return
        if self._started is None:
            self._started = self._start()
        unit = order.device.name
        self._here.hand_over(unit)
        if opening := self._openings.pop(unit, None):
            self._started.recall(opening)
        self._started.submit(order)

    def cancel(self, order_id: str) -> None:
        """End it soon; its Done follows."""
        self._here.cancel(order_id)
        if self._started is not None:
            self._started.cancel(order_id)

    def release(self, unit: str) -> None:
        """End a device's session soon, wherever it is open."""
        self._openings.pop(unit, None)
        self._here.release(unit)
        if self._started is not None:
            self._started.release(unit)

    def acknowledge(self, unit: str, run_ids: Collection[str]) -> None:
        """These results of a device are stored, or never can be: whoever keeps them forgets them."""
        self._here.acknowledge(unit, run_ids)
        if self._started is not None:
            self._started.acknowledge(unit, run_ids)

    def events(self, timeout_s: float) -> Sequence[Event]:
        """What has arrived, waiting up to timeout_s for the first; what was opened here comes that much later at most."""
        if self._started is None:
            return self._here.events(timeout_s)
        found = list(self._here.events(0.0))
        found += self._started.events(0.0 if found else timeout_s)
        return found

    def close(self) -> None:
        """Cancel what runs, end every session, leave no process behind."""
        try:
            if self._started is not None:
                self._started.close()
        finally:
            self._here.close()
