"""Keeps this machine in a served farm: it says that it is there, and is a node of the farm's Ray while there is one."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Protocol

from lutfarm.agent_pool.ray.join_ray import joined, ray_node
from lutfarm.agent_pool.ray.whereabouts import Versions, Whereabouts
from lutfarm_jobs.errors import FarmError, LinkError, ServerBug, StoreError

SAYS_S = 4.0
STARTS_S = 60.0


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
        where = server.host_seen(host.name, session=session, address=host.address, versions=Versions.here(), joined=node.runs)
    except (LinkError, StoreError, ServerBug) as error:
        return f"waiting for the server: {error}"
    if where is None:
        node.leave()
        return f"{host.name}: waiting until the farm's Ray has started"
    if node.follow(where):
        return f"{host.name} is a host of the farm, and a node of its Ray at {where.address}"
    return f"{host.name}: the Ray at {where.address} did not take this machine; it is tried again"


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

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def follow(self, where: Whereabouts) -> bool:
        """Be a node there; whether it is one."""
        if self.runs and where == self._where:
            return True
        self.leave()
        host = self._host
        node = ray_node(where, host=host.name, node_ip=host.address, state_dir=host.state_dir, measured_cpus=host.measured_cpus)
        self._process, self._where = self._opened.enter_context(node), where
        return joined(self._process, patience_s=STARTS_S)

    def leave(self) -> None:
        self._opened.close()
        self._process = None
