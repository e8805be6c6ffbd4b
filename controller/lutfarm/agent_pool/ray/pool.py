"""RayPool: one threaded actor for each host."""
# Ray's own annotations are partial: remote classes and what init returns are unknown to a type checker.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportAttributeAccessIssue=false, reportPrivateUsage=false

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
import ray.exceptions

from lutfarm.agent_pool.interface import Done, Event, Measuring, Opening, Order, Probing
from lutfarm.agent_pool.local import AgentFactory, device_agent
from lutfarm.agent_pool.ray.carrying import Carrying, carry
from lutfarm.agent_pool.ray.host_actor import Host
from lutfarm.agent_pool.ray.join_ray import resource
from lutfarm.agent_pool.ray.processes import kill_descendant
from lutfarm.agent_pool.ray.settings import LOOPBACK
from lutfarm.agent_pool.ray.start_ray import start_ray
from lutfarm_agents.device import HERE
from lutfarm_jobs.errors import LinkLost, TransferFailed

# Two threads in the actor: polls wait in one; orders, cancels and files come one after the other in the other.
GROUPS = {"polls": 1, "orders": 1}
CALL_S = 60.0
POLL_S = 2.0
POLL_LATE_S = 18.0  # a host that does not answer a poll of 2 s for so long is lost
LOOK_S = 1.0  # how often it is looked whether the nodes of hosts are there
START_LATE_S = 240.0  # ... and one that has not said its first word: beside others imports take long
PART_LATE_S = 60.0  # a part of a file that has not arrived by then ends the order that needs the file
CLOSE_S = 40.0
HEAD = "node:__internal_head__"  # the machine where the Ray was started


@dataclass(slots=True)
class _Seat:
    """A host's actor, as the driver sees it."""

    actor: Any
    pid: Any  # reference to the process id
    poll: Any = None
    poll_since_s: float = 0.0
    orders: dict[str, str] = field(default_factory=dict[str, str])  # order id -> unit
    models: set[str] = field(default_factory=set[str])  # artifacts that the host can see
    carrying: deque[Carrying] = field(default_factory=deque[Carrying])  # the first one's files are on their way

    def is_late(self, since_s: float, most_s: float) -> bool:
        """Whether what was asked then has had its time, which is longer until the actor has begun."""
        began, _ = ray.wait([self.pid], timeout=0)
        return time.monotonic() - since_s > (most_s if began else START_LATE_S)

    def call(self, method: str, *arguments: object, group: str = "orders") -> Any:
        """A reference to what the actor will answer."""
        return getattr(self.actor, method).options(concurrency_group=group).remote(*arguments)


class RayPool:
    """An AgentPool over Ray actors.  To be used from one thread."""

    def __init__(
        self,
        *,
        opened: contextlib.ExitStack,
        keep_away: Callable[[], None],
        state_dir: Path,
        measured_cpus: frozenset[int],
        agent_factory: AgentFactory,
    ) -> None:
        self._opened = opened
        self._keep_away = keep_away
        self._arguments = (state_dir, measured_cpus, agent_factory)
        self._seats: dict[str, _Seat] = {}
        self._openings: dict[str, Opening] = {}  # by unit
        self._hosts: dict[str, str] = {}  # by unit
        self._arrived: deque[Event] = deque()
        self._looked_s = float("-inf")

    @classmethod
    def start(
        cls,
        *,
        state_dir: Path,
        measured_cpus: frozenset[int] = frozenset(),
        agent_factory: AgentFactory = device_agent,
        node_ip: str = LOOPBACK,
    ) -> RayPool:
        """Start a Ray on this machine, off the measured cores, and a pool that ends it when it is closed.

        `node_ip`: the address of this machine under which hosts that join reach it.
        """
        with contextlib.ExitStack() as stack:
            keep_away = start_ray(measured_cpus, opened=stack, node_ip=node_ip)
            return cls(
                opened=stack.pop_all(),
                keep_away=keep_away,
                state_dir=state_dir.absolute(),
                measured_cpus=measured_cpus,
                agent_factory=agent_factory,
            )

    def submit(self, order: Order) -> None:
        """Start it on the device's host; an actor that died is replaced first.

        The files that it needs are asked for and sent while `events` is called, before it begins.
        """
        unit, host = order.device.name, order.device.host
        self._hosts[unit] = host
        if host not in self._seats and _node_of(host) not in _resources():
            error = (LinkLost.__name__, f"the host {host!r}, on which {unit} hangs, is not there: lutfarm host join, on it")
            self._arrived.append(Done(order.id, unit, error))
            return
        seat = self._seat(host)
        seat.orders[order.id] = unit
        if isinstance(order, Opening):
            self._openings[unit] = order
        if isinstance(order, Probing | Measuring) and not order.models.keys() <= seat.models:
            seat.carrying.append(Carrying(order, carry(seat.call, order.models, seat.models)))
            self._carry(host)
        else:
            self._hand_over(host, order)

    def recall(self, opening: Opening) -> None:
        """What a device was last opened with elsewhere: an order for it opens it again by itself."""
        self._openings.setdefault(opening.device.name, opening)

    def cancel(self, order_id: str) -> None:
        """End it soon; its Done follows."""
        for seat in self._seats.values():
            if order_id in seat.orders and not self._drop(seat, lambda order: order.id == order_id):
                seat.call("cancel", order_id)

    def release(self, unit: str) -> None:
        """End a device's session soon; what it does is cancelled."""
        opening = self._openings.pop(unit, None)
        if opening is not None and (seat := self._seats.get(opening.device.host)):
            self._drop(seat, lambda order: order.device.name == unit)
            seat.call("release", unit)

    def acknowledge(self, unit: str, run_ids: Collection[str]) -> None:
        """These results of a device are stored, or never can be; a host that is lost is told when they come again."""
        if seat := self._seats.get(self._hosts.get(unit, "")):
            with contextlib.suppress(ray.exceptions.RayError):  # its poll says so, too
                seat.call("acknowledge", unit, list(run_ids))

    def events(self, timeout_s: float) -> Sequence[Event]:
        """What has arrived, waiting up to timeout_s for the first."""
        deadline_s = time.monotonic() + timeout_s
        while not self._arrived:
            left_s = max(0.0, deadline_s - time.monotonic())
            self._gather(left_s)
            if left_s == 0:
                break
        found = list(self._arrived)
        self._arrived.clear()
        return found

    def host_pids(self) -> Mapping[str, int]:
        """The process of each host's actor."""
        return {host: int(ray.get(seat.pid, timeout=CALL_S)) for host, seat in self._seats.items()}

    def close(self) -> None:
        """End sessions, actors and this pool's Ray; nothing that was started stays.  An interrupt kills what has not ended."""
        with self._opened:
            closing = [seat.call("close") for seat in self._seats.values()]
            if closing:
                ray.wait(closing, num_returns=len(closing), timeout=CLOSE_S)
            for seat in self._seats.values():
                ray.kill(seat.actor)
            self._seats.clear()

    def _seat(self, host: str) -> _Seat:
        seat = self._seats.get(host)
        if seat is None:
            self._keep_away()  # Ray starts some of its processes late
            state_dir, measured_cpus, agent_factory = self._arguments
            here = (state_dir, measured_cpus) if host == HERE else None
            actor = _actor_class(host).remote(here, agent_factory)
            seat = self._seats[host] = _Seat(actor, actor.pid.remote())
        return seat

    def _hand_over(self, host: str, order: Order) -> None:
        try:
            self._seats[host].call("submit", order, self._openings.get(order.device.name))
        except ray.exceptions.RayError as error:
            self._lose(host, error)

    def _carry(self, host: str) -> None:
        """Go on with the files of the host's orders, as far as it goes without waiting; orders that have all go to the host."""
        seat = self._seats[host]
        while seat.carrying:
            first = seat.carrying[0]
            try:
                if not self._step(seat, first):
                    return
            except TransferFailed as error:  # the host is well, the file or the way is not
                seat.carrying.popleft()
                self._end(seat, first.order, (TransferFailed.__name__, _reason(error)))
            except ray.exceptions.RayError as error:
                self._lose(host, error)
                return
            else:
                seat.carrying.popleft()
                self._hand_over(host, first.order)

    def _step(self, seat: _Seat, carrying: Carrying) -> bool:
        """Ask for what comes next, where the host has answered; whether nothing does.  Raises TransferFailed, RayError."""
        answer: Any = None
        if carrying.asked is not None:
            ready, _ = ray.wait([carrying.asked], timeout=0)
            if not ready and seat.is_late(carrying.asked_s, PART_LATE_S):
                raise TransferFailed(f"the host took no part of a model file for {PART_LATE_S:.0f} s; look at the way to it")
            if not ready:
                return False
            answer = ray.get(carrying.asked)
        try:
            carrying.asked = carrying.steps.send(answer)
        except StopIteration:
            return True
        carrying.asked_s = time.monotonic()
        return False

    def _drop(self, seat: _Seat, is_one: Callable[[Order], bool]) -> bool:
        """End those whose files are on their way and that the host has not seen; whether there were any."""
        dropped = [each for each in seat.carrying if is_one(each.order)]
        for each in dropped:
            seat.carrying.remove(each)
            self._end(seat, each.order)
        return bool(dropped)

    def _end(self, seat: _Seat, order: Order, error: tuple[str, str] | None = None) -> None:
        del seat.orders[order.id]
        self._arrived.append(Done(order.id, order.device.name, error))

    def _look(self) -> None:
        """Now and then: lose the hosts whose node Ray takes for dead.

        One that was asked to start an actor would be waited for otherwise, though nothing starts it.
        """
        if not self._seats or time.monotonic() - self._looked_s < LOOK_S:
            return
        self._looked_s, there = time.monotonic(), _resources()
        for host in [host for host in self._seats if _node_of(host) not in there]:
            self._lose(host, "it is no node of the farm's Ray any more")

    def _gather(self, timeout_s: float) -> None:
        """Wait for the polls of all hosts that have orders."""
        self._look()
        for host, seat in list(self._seats.items()):
            if seat.poll is None and seat.orders:
                seat.poll, seat.poll_since_s = seat.call("poll", POLL_S, group="polls"), time.monotonic()
            elif seat.poll is not None and seat.is_late(seat.poll_since_s, POLL_LATE_S):
                self._lose(host, f"its process said nothing for {time.monotonic() - seat.poll_since_s:.0f} s")
                continue
            self._carry(host)
        polls = {seat.poll: host for host, seat in self._seats.items() if seat.poll is not None}
        carried = {seat.carrying[0].asked: host for host, seat in self._seats.items() if seat.carrying}
        if not polls and not carried:
            if not self._arrived:
                time.sleep(timeout_s)
            return
        ready, _ = ray.wait([*polls, *carried], num_returns=1, timeout=0 if self._arrived else timeout_s)
        for one in ready:
            if one in polls:
                self._collect(polls[one])
            elif carried[one] in self._seats:
                self._carry(carried[one])

    def _collect(self, host: str) -> None:
        seat = self._seats[host]
        poll, seat.poll = seat.poll, None
        try:
            events: Sequence[Event] = ray.get(poll)
        except ray.exceptions.RayError as error:
            self._lose(host, error)
            return
        for event in events:
            if isinstance(event, Done):
                seat.orders.pop(event.order, None)
        self._arrived.extend(events)

    def _lose(self, host: str, why: object) -> None:
        """The actor is gone, or as good as gone: its orders end with LinkLost, the next one gets a new actor."""
        seat = self._seats.pop(host)
        seat.carrying.clear()
        with contextlib.suppress(ray.exceptions.RayError):
            ray.kill(seat.actor)
            if host == HERE:  # Ray asks the process to end; one that hangs does not hear it
                kill_descendant(int(ray.get(seat.pid, timeout=0)))
        for order_id, unit in seat.orders.items():
            error = (LinkLost.__name__, f"the process of the host {host!r} ended: {_reason(why)}")
            self._arrived.append(Done(order_id, unit, error))


def _reason(why: object) -> str:
    """One line of an error; Ray's carry a whole traceback of the actor in front of the cause."""
    if isinstance(why, ray.exceptions.RayTaskError):
        why = why.cause
    lines = str(why).strip().splitlines()
    return lines[0][:300] if lines else type(why).__name__


def _resources() -> Container[str]:
    """Of all nodes that Ray takes for alive."""
    return ray.cluster_resources()


def _node_of(host: str) -> str:
    """The resource that its node alone has."""
    return HEAD if host == HERE else resource(host)


def _actor_class(host: str) -> Any:
    remote: Any = ray.remote
    settings = {"num_cpus": 0, "resources": {_node_of(host): 0.001}, "concurrency_groups": GROUPS}
    return remote(**settings, max_restarts=0, max_task_retries=0)(Host)
