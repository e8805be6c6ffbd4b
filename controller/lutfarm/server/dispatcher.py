"""The dispatcher of a served farm, as a process: measures what the queue of its server's store asks for.

`python -m lutfarm.server.dispatcher SOCKET HOME EXECUTOR CPUS ADDRESS`, where CPUS are the cores that rounds will run on, and
ADDRESS that by which other hosts reach this one.  Where its Ray is stands in `ray.json` beside the socket.  It ends when it is
told to (SIGTERM, SIGINT), when its server is no more, and with exit code 3 when it can't go on: the server starts another.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from contextlib import closing
from pathlib import Path
from typing import cast

from lutfarm.agent_pool.interface import AgentPool
from lutfarm.execution.intake_note import FILE, IntakeNote
from lutfarm.execution.open_farm import ExecutorKind, open_pool
from lutfarm.execution.serving import Serving
from lutfarm.execution.sitting import Sitting
from lutfarm.home import Home
from lutfarm.server.intake.kinds import loaded
from lutfarm.server.logs import log_lines
from lutfarm.store.rpc.remote import socket_store
from lutfarm_agents import process_identity
from lutfarm_jobs.errors import FarmError

FAILED = 3
RAY_FILE = "ray.json"
log = logging.getLogger(__name__)


def dispatch(socket: Path, home: Home, executor: ExecutorKind, cpus: frozenset[int], node_ip: str) -> None:
    """Until it is told to end.  Raises FarmError where it can't go on."""
    ending: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: ending.append(number))
    server = os.getppid()
    holder = process_identity.words("lutfarm serve")
    note = IntakeNote(home.path / FILE)
    with (
        closing(socket_store(socket)) as store,
        closing(_pool(executor, home, cpus, node_ip, socket.with_name(RAY_FILE))) as pool,
    ):
        with closing(
            Sitting(store, pool, home.models, owner=str(process_identity.me()), holder=holder, taking=note.taking)
        ) as sitting:
            serving = Serving(store, sitting, loaded)
            log.info("dispatching", extra={"executor": executor})
            while not ending and os.getppid() == server:
                serving.turn()
        log.info("ending", extra={"signal": ending[0] if ending else None})


def _pool(executor: ExecutorKind, home: Home, cpus: frozenset[int], node_ip: str, file: Path) -> AgentPool:
    if executor == "local":
        return open_pool(executor, home, cpus)
    from lutfarm.agent_pool.ray.pool import RayPool  # Ray takes a second to import: only where it is used
    from lutfarm.agent_pool.ray.start_ray import whereabouts

    pool = RayPool.start(state_dir=home.agents, measured_cpus=cpus, node_ip=node_ip)
    whereabouts().write(file)
    return pool


def main() -> None:
    """The process."""
    socket, home, executor, cpus, node_ip = sys.argv[1:]
    log_lines("dispatcher")
    try:
        measured = frozenset(int(cpu) for cpu in cpus.split(",") if cpu)
        dispatch(Path(socket), Home(Path(home)), cast(ExecutorKind, executor), measured, node_ip)
    except FarmError as error:
        log.error("can't go on", extra={"code": error.code, "detail": error.detail})
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
