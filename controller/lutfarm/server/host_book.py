"""Which hosts have joined: kept in memory, since they say so every few seconds."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from lutfarm.records.host import HostSeen
from lutfarm_jobs.errors import SpecError

LOST_S = 20.0  # a host that said nothing for so long is lost


@dataclass(slots=True)
class HostBook:
    """To be used from any thread."""

    _hosts: dict[str, HostSeen] = field(default_factory=dict[str, HostSeen])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def saw(self, host: HostSeen) -> bool:
        """Whether it has joined since it was seen last.  Raises SpecError where another machine has this name and is not lost.

        One that is started again on the same machine, after it was killed, need not wait.
        """
        with self._lock:
            known = self._hosts.get(host.name)
            recent = known is not None and host.seen_s - known.seen_s < LOST_S
            if known is not None and recent and known.session != host.session and known.address != host.address:
                raise SpecError(
                    f"a host {host.name!r} has joined already, from {known.address}; end `lutfarm host join` there, "
                    "or choose another --name"
                )
            self._hosts[host.name] = host
            return host.joined and not (known is not None and recent and known.joined and known.session == host.session)

    def left(self, name: str, session: str) -> None:
        """It says that it ends."""
        with self._lock:
            if (known := self._hosts.get(name)) is not None and known.session == session:
                del self._hosts[name]

    def forget(self, name: str, now_s: float) -> bool:
        """Take one that is lost off the list; False where there is none.  Raises SpecError for one that is there."""
        with self._lock:
            known = self._hosts.get(name)
            if known is None:
                return False
            if now_s - known.seen_s < LOST_S:
                raise SpecError(f"the host {name!r} is there: end `lutfarm host join` on it first")
            del self._hosts[name]
            return True

    def all(self) -> Sequence[HostSeen]:
        """By name."""
        with self._lock:
            return sorted(self._hosts.values(), key=lambda host: host.name)
