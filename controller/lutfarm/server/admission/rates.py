"""How often one client may ask: a token bucket for each.  Pure: time is an argument."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

MOST_CLIENTS = 10_000


@dataclass(slots=True)
class Rates:
    """`per_s` on average, `burst` at once; of the clients that asked last, so that an address costs no memory for ever."""

    per_s: float
    burst: int
    _buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict[str, tuple[float, float]])

    def take(self, client: str, now_s: float) -> bool:
        """Whether the client may ask now."""
        left, seen_s = self._buckets.pop(client, (float(self.burst), now_s))
        left = min(float(self.burst), left + max(0.0, now_s - seen_s) * self.per_s)
        allowed = left >= 1
        self._buckets[client] = left - 1 if allowed else left, now_s
        if len(self._buckets) > MOST_CLIENTS:
            self._buckets.popitem(last=False)
        return allowed
