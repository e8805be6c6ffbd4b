"""One device's worker in a pool: a thread that takes its orders one by one and says what came of them."""

from __future__ import annotations

import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

from lutfarm.agent_pool.interface import (
    Done,
    Event,
    Left,
    Measured,
    Measuring,
    Opened,
    Opening,
    Order,
    Probed,
    Probing,
    Progress,
    Remarked,
    Waiting,
)
from lutfarm.agent_pool.spool import Kept, Spool
from lutfarm_agents.device import Claim, Device
from lutfarm_agents.factory import calling, package_of
from lutfarm_agents.interface import Advance, Agent
from lutfarm_jobs.errors import FarmError, LinkLost, RunnerBug

PROGRESS_S = 0.25
WAITING_S = 1.0

T = TypeVar("T")


class DeviceWorker:
    """Everything that happens to one device."""

    def __init__(self, unit: str, make: Callable[[Device], Agent], emit: Callable[[Event], None], spool: Spool) -> None:
        self._make = make
        self._emit = emit
        self._spool = spool
        self._orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._pending: dict[str, Order] = {}
        self._cancelled: set[str] = set()
        self._current: str | None = None
        self._agent: Agent | None = None
        self._device: Device | None = None
        self._opening: Opening | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._work, name=f"device {unit}", daemon=True)
        self._thread.start()

    def submit(self, order: Order) -> None:
        """Queue an order."""
        with self._lock:
            ended = self._ended
            if not ended:
                self._pending[order.id] = order
                self._orders.put(order)
        if ended:
            self._emit(_unserved(order))

    def recall(self, opening: Opening) -> None:
        """Remember how to open the device, if it was not opened here."""
        with self._lock:
            self._opening = self._opening or opening

    def cancel(self, order_id: str) -> None:
        """End an order soon, or do not begin it."""
        with self._lock:
            if order_id not in self._pending:
                return
            self._cancelled.add(order_id)
            if order_id == self._current and self._agent is not None:
                self._agent.cancel()  # under the lock: or it could hit the order after

    def close(self) -> None:
        """Begin to end: what runs is cancelled, what is queued is not begun."""
        with self._lock:
            orders = list(self._pending)
        for order_id in orders:
            self.cancel(order_id)
        self._orders.put(None)

    @property
    def alive(self) -> bool:
        """Whether it has not ended yet."""
        return self._thread.is_alive()

    def join(self, timeout_s: float) -> None:
        """Wait until it has ended."""
        self._thread.join(timeout_s)

    def _work(self) -> None:
        try:
            while (order := self._orders.get()) is not None:
                self._serve(order)
        finally:
            with self._lock:
                self._ended = True
                left = list(self._pending.values())
            for order in left:
                self._emit(_unserved(order))
            if self._agent is not None and self._device is not None:
                with calling(self._device):  # what another package's raises names it, and ends this thread alone
                    self._agent.close()

    def _serve(self, order: Order) -> None:
        """Exactly one Done, whatever happens; a bug goes on to the thread's end."""
        error: tuple[str, str] | None = None
        try:
            with calling(order.device):
                self._carry_out(order)
        except FarmError as failure:
            error = (failure.code, failure.detail)
        finally:
            bug = sys.exception()
            if bug is not None:
                error = (RunnerBug.__name__, "".join(traceback.format_exception(bug))[-8000:])
            with self._lock:
                self._current = None
                self._pending.pop(order.id, None)
                self._cancelled.discard(order.id)
            spent_ns = dict(self._agent.spent_ns) if self._agent is not None else {}
            self._emit(Done(order.id, order.device.name, error, spent_ns))

    def _carry_out(self, order: Order) -> None:
        agent = self._agent_of(order.device)
        if isinstance(order, Opening):
            with self._lock:
                self._opening = order
            self._open(agent, order, order.id)
            return
        opening = self._opening
        if opening is None:
            raise LinkLost(f"{order.device.name}: no session is open; open the device first")
        if not agent.ready:
            self._open(agent, replace(opening, lease=order.lease), order.id)
        if not agent.ready:  # cancelled while it waited
            return
        if isinstance(order, Probing):
            self._probe(agent, order)
        else:
            self._measure(agent, order, opening.farm_id)

    def _open(self, agent: Agent, opening: Opening, order_id: str) -> None:
        unit = opening.device.name
        claim = Claim(unit, opening.lease.owner, opening.holder, opening.farm_id, opening.lease.token)
        told: tuple[str, float] = ("", 0.0)
        for holder in self._begin(order_id, lambda: agent.prepare(claim)):
            now_s = time.monotonic()
            if holder != told[0] or now_s - told[1] >= WAITING_S:
                self._emit(Waiting(order_id, unit, holder))
                told = (holder, now_s)
        if agent.ready:
            for kept in self._spool.left(opening.farm_id, unit):  # first: it counts before anything is ordered
                self._emit(Left(order_id, unit, kept.run, kept.ordered))
            for remark in self._spool.remarks():
                self._emit(Remarked(order_id, unit, remark))
            self._emit(Opened(order_id, unit, replace(agent.hello(), agent_package=package_of(opening.device))))

    def _probe(self, agent: Agent, order: Probing) -> None:
        for probe in self._begin(order.id, lambda: agent.probe(order.tasks, limits=order.limits, models=order.models)):
            self._emit(Probed(order.id, replace(probe, fingerprint=_with_agent(probe.fingerprint, order.device))))

    def _measure(self, agent: Agent, order: Measuring, farm_id: str) -> None:
        self._spool.require_room()
        told_s = 0.0
        for step in self._begin(order.id, lambda: agent.measure(order.round, models=order.models)):
            if not isinstance(step, Advance):
                run = replace(step, fingerprint=_with_agent(step.fingerprint, order.device))
                if run.status != "truncated":
                    self._spool.keep(Kept(farm_id, order.device.name, order.ordered, run))
                self._emit(Measured(order.id, run))
            elif step.done == step.total or time.monotonic() - told_s >= PROGRESS_S:
                self._emit(Progress(order.id, order.device.name, step.done, step.total))
                told_s = time.monotonic()

    def _begin(self, order_id: str, call: Callable[[], Iterator[T]]) -> Iterator[T]:
        """Begin under the lock, so that a cancel comes either before, or reaches the agent after."""
        with self._lock:
            if order_id in self._cancelled:
                return iter(())
            self._current = order_id
            return call()

    def _agent_of(self, device: Device) -> Agent:
        """The device's agent; another one where its address or profile changed."""
        agent = self._agent
        if agent is None or device != self._device:
            with self._lock:
                self._agent, self._device = None, device
            if agent is not None:
                agent.close()  # if it raises, the next order gets another agent all the same
            agent = self._make(device)
            with self._lock:
                self._agent = agent
        return agent


def _with_agent(fingerprint: Mapping[str, str], device: Device) -> Mapping[str, str]:
    """What another package's agent measured is of that package's version, whether it says so or not."""
    package = package_of(device)
    return {**fingerprint, "agent_package": package} if package else fingerprint


def _unserved(order: Order) -> Done:
    error = (RunnerBug.__name__, "the device's thread ended early; see the first error")
    return Done(order.id, order.device.name, error)
