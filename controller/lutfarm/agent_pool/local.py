"""LocalPool: agents in this process, one thread for each device."""

from __future__ import annotations

import functools
import os
import queue
import threading
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from lutfarm.agent_pool.device_worker import DeviceWorker
from lutfarm.agent_pool.interface import Event, Opening, Order
from lutfarm.agent_pool.spool import Spool, SpoolLimits
from lutfarm_agents.device import Device
from lutfarm_agents.factory import agent_of
from lutfarm_agents.interface import Agent

AgentFactory = Callable[[Device, Path, frozenset[int] | None], Agent]

JOIN_S = 30.0


def device_agent(device: Device, state_dir: Path, cpus: frozenset[int] | None) -> Agent:
    """The agent that pools use unless they are told otherwise."""
    return agent_of(device, state_dir=state_dir, cpus=cpus)


class LocalPool:
    """An AgentPool without Ray.

    `measured_cpus`: cores that the caller keeps itself off; the devices' processes may use them too.
    """

    def __init__(
        self, *, state_dir: Path, measured_cpus: frozenset[int] = frozenset(), agent_factory: AgentFactory = device_agent
    ) -> None:
        """Raises SpecError where the environment says something else than a number of the spool."""
        self._spool = Spool(state_dir / "spool", SpoolLimits.from_environment())
        cpus = frozenset(os.sched_getaffinity(0)) | measured_cpus if measured_cpus else None
        self._make = functools.partial(_make, agent_factory, state_dir, cpus)
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._workers: dict[str, DeviceWorker] = {}
        self._released: list[DeviceWorker] = []  # that may not have ended
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, order: Order) -> None:
        """Start it; returns at once."""
        self._worker(order.device).submit(order)

    def recall(self, opening: Opening) -> None:
        """What a device was last opened with elsewhere: an order for it opens it again by itself."""
        self._worker(opening.device).recall(opening)

    def release(self, unit: str) -> None:
        """End a device's session soon; what it does is cancelled."""
        self._release(unit)

    def hand_over(self, unit: str) -> None:
        """The same, once it has ended: another pool of this process opens the device next."""
        if worker := self._release(unit):
            worker.join(JOIN_S)

    def _release(self, unit: str) -> DeviceWorker | None:
        with self._lock:
            worker = self._workers.pop(unit, None)
            self._released = [one for one in self._released if one.alive] + ([worker] if worker is not None else [])
        if worker is not None:
            worker.close()
        return worker

    def cancel(self, order_id: str) -> None:
        """End it soon; its Done follows."""
        with self._lock:
            workers = [*self._workers.values(), *self._released]
        for worker in workers:
            worker.cancel(order_id)

    def acknowledge(self, unit: str, run_ids: Collection[str]) -> None:
        """These results of a device are stored, or never can be: they are forgotten."""
        self._spool.forget(unit, run_ids)

    def events(self, timeout_s: float) -> Sequence[Event]:
        """What has arrived, waiting up to timeout_s for the first."""
        found: list[Event] = []
        try:
            found.append(self._events.get(timeout=timeout_s) if timeout_s > 0 else self._events.get_nowait())
            while True:
                found.append(self._events.get_nowait())
        except queue.Empty:
            return found

    def close(self) -> None:
        """Cancel what runs, end every session, leave no process behind."""
        with self._lock:
            self._closed = True
            workers = [*self._workers.values(), *self._released]
        for worker in workers:
            worker.close()
        deadline_s = time.monotonic() + JOIN_S
        for worker in workers:
            worker.join(max(0.0, deadline_s - time.monotonic()))

    def _worker(self, device: Device) -> DeviceWorker:
        with self._lock:
            if self._closed:
                raise RuntimeError("the pool is closed")
            worker = self._workers.get(device.name)
            if worker is None:
                worker = self._workers[device.name] = DeviceWorker(device.name, self._make, self._events.put, self._spool)
            return worker


def _make(factory: AgentFactory, state_dir: Path, cpus: frozenset[int] | None, device: Device) -> Agent:
    return factory(device, state_dir, cpus)
