"""Keeps this machine in a served farm: it says that it is there, and is a node of the farm's Ray while there is one."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Protocol

from lutfarm.agent_pool.ray.join_ray import has_joined, ray_node
from lutfarm.agent_pool.ray.whereabouts import Versions, Whereabouts
from lutfarm_jobs.errors import FarmError, LinkError, ServerBug, StoreError

SAYS_S = 4.0
STARTS_S = 60.0  # a node that has not joined by then is started again


class Server(Protocol):
    """What a host asks of a farm's server."""

    def host_seen(self, name: str, *, session: str, address: str, versions: Versions, joined: bool) -> Whereabouts | None:
        """It is there; where the farm's Ray is, None while there is none.  Raises FarmError."""
        ...

    def host_leaves(self, name: str, *, session: str) -> None:
        """It ends."""
        ...


@dataclass(frozen=True, slots=True)
class ThisHost:
    """This machine as a host: `address` under which the others of the farm reach it; `state_dir`: where its agents keep files."""

    name: str
    address: str
    state_dir: Path
    measured_cpus: Sequence[int]


def join(host: ThisHost, server: Server, *, ended: Callable[[float], bool], tell: Callable[[str], None]) -> None:
    """Until `ended(wait_s)` is true, which waits so long for it.  `tell` is told what changes, for people.

    Raises the FarmError with which the server refuses this host: a person must mend that.  A server that does not answer, has
    too much to do, can't use its store or fails in its own code is waited for.
    """
    session, said, node = uuid.uuid4().hex, "", _Node(host)
    with ExitStack() as leaving:
        leaving.callback(_say_goodbye, server, host.name, session)
        leaving.callback(node.leave)
        while True:
            now = _once(host, server, node, session)
            if now != said:
                tell(now)
                said = now
            if ended(SAYS_S):
                return


def _once(host: ThisHost, server: Server, node: _Node, session: str) -> str:
    """Say that it is there, and do what the answer asks for; how it is now, for people."""
    try:
        where = server.host_seen(host.name, session=session, address=host.address, versions=Versions.here(), joined=node.joined)
    except (LinkError, StoreError, ServerBug) as error:
        return f"waiting for the server: {error}"
    if where is None:
        node.leave()
        return f"{host.name}: waiting until the farm's Ray has started"
    node.follow(where)
    if node.joined:
        return f"{host.name} is a host of the farm, and a node of its Ray at {where.address}"
    if node.failed:
        return f"{host.name}: the Ray at {where.address} did not take this machine; it is tried again"
    return f"{host.name} joins the Ray at {where.address}"


def _say_goodbye(server: Server, name: str, session: str) -> None:
    with contextlib.suppress(FarmError):  # the server finds out by itself
        server.host_leaves(name, session=session)


class _Node:
    """The node of one Ray after the other."""

    def __init__(self, host: ThisHost) -> None:
        self._host = host
        self._opened = ExitStack()
        self._process: Popen[bytes] | None = None
        self._where: Whereabouts | None = None
        self._began_s = 0.0
        self._joined = False
        self.failed = False  # the one before this one did not join the same Ray

    @property
    def joined(self) -> bool:
        """Whether it was seen to join, and runs."""
        return self._joined and self._runs

    @property
    def _runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def follow(self, where: Whereabouts) -> None:
        """Be a node there: look whether it has joined, or start one where it ended, is late or is elsewhere.  Never waits."""
        late = not self._joined and time.monotonic() - self._began_s > STARTS_S
        if where != self._where or not self._runs or late:
            failed = where == self._where and self._process is not None and not self._joined
            self.leave()
            self._start(where)
            self.failed = failed
        elif not self._joined and self._process is not None:
            self._joined = has_joined(self._process)

    def _start(self, where: Whereabouts) -> None:
        host = self._host
        node = ray_node(where, host=host.name, node_ip=host.address, state_dir=host.state_dir, measured_cpus=host.measured_cpus)
        self._process, self._where = self._opened.enter_context(node), where
        self._began_s = time.monotonic()

    def leave(self) -> None:
        self._opened.close()
        self._process, self._joined, self.failed = None, False, False
