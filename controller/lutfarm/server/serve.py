"""The server of a farm: its API for people and programs, its store for the dispatcher, which is its child."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from lutfarm.agent_pool.ray.settings import LOOPBACK
from lutfarm.execution import intake_note
from lutfarm.execution.intake_note import IntakeNote
from lutfarm.execution.open_farm import ExecutorKind, keep_off, measured_half
from lutfarm.home import Home
from lutfarm.server import job_deaths
from lutfarm.server.admission.requests import is_loopback
from lutfarm.server.admission.tokens import require_tokens
from lutfarm.server.app import make_app
from lutfarm.server.claim import claimed
from lutfarm.server.host_book import HostBook
from lutfarm.server.host_watch import watched
from lutfarm.server.job_deaths import JobDeaths
from lutfarm.server.keeper import Keeper
from lutfarm.server.patient_http import PatientHttp
from lutfarm.server.settings import LOOPBACK_NAMES, Settings
from lutfarm.server.store_app import store_app
from lutfarm.store import open_store
from lutfarm_jobs.errors import SpecError

MOST_CONNECTIONS = 500  # more are told to come again: a process may have 1024 files open
ENDS_S = 8  # for answers that are on their way
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listening:
    """Where it listens; `port` 0: any that is free.  `names`: by which others know this machine."""

    host: str = "127.0.0.1"
    port: int = 8420
    names: tuple[str, ...] = ()
    node_ip: str = LOOPBACK  # under which hosts that join reach the Ray of this machine

    @property
    def settings(self) -> Settings:
        """Of the API there."""
        return Settings(hosts=(*LOOPBACK_NAMES, self.host, *self.names), loopback=is_loopback(self.host))


def serve(home: Home, where: Listening, executor: ExecutorKind, ready: Callable[[str], None]) -> None:
    """Until SIGINT or SIGTERM.  `ready` is told the address once it answers.  Raises FarmError where it can't begin."""
    with ExitStack() as stack:
        stack.enter_context(_alone(home))
        store = stack.enter_context(closing(open_store(home.path)))
        stack.enter_context(claimed(store, store.place, lost=lambda: os.kill(os.getpid(), signal.SIGTERM)))
        require_tokens(store, loopback=where.settings.loopback, now_s=time.time())
        listening = stack.enter_context(closing(_bound(where)))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lutfarm-")))  # 0700; a socket's path is short
        cpus = measured_half()
        keep_off(frozenset(cpus))
        deaths = JobDeaths(store, IntakeNote(home.path / intake_note.FILE), home.path / job_deaths.FILE)
        deaths.died("its server ended with it")  # where the one before this did while it took a job in
        keeper = Keeper(folder / "store", home, executor, cpus, where.node_ip, died=deaths.died)
        book = HostBook()
        inner = _server(store_app(store, asked=keeper.asked), uds=str(keeper.socket))
        outer = _server(
            make_app(
                store,
                home,
                settings=where.settings,
                dispatcher_seen_s=lambda: keeper.seen_s,
                ray=lambda: keeper.ray,
                executor=executor,
                host_book=book,
            )
        )
        if executor == "ray":  # else no host can join
            stack.enter_context(watched(store, book))
        address = f"http://{where.host}:{listening.getsockname()[1]}"
        asyncio.run(_both(inner, outer, listening, keeper, lambda: ready(address)))


async def _both(inner: _Quiet, outer: _Quiet, listening: socket.socket, keeper: Keeper, ready: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ending.set)
    serving = [asyncio.create_task(inner.serve()), asyncio.create_task(outer.serve([listening]))]
    while not (inner.started and outer.started) and not any(task.done() for task in serving):
        await asyncio.sleep(0.02)
    with keeper:
        ready()
        await asyncio.wait([asyncio.create_task(ending.wait()), *serving], return_when=asyncio.FIRST_COMPLETED)
        log.info("ending")
        outer.should_exit = True
        await asyncio.to_thread(keeper.end)  # its last results are committed while the store still answers
    inner.should_exit = True
    for task in serving:
        await task


class _Quiet(uvicorn.Server):
    """One of two in a process, which hears the signals for both."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """None."""
        yield


def _server(app: Any, *, uds: str | None = None) -> _Quiet:
    return _Quiet(
        uvicorn.Config(
            app,
            uds=uds,
            http=PatientHttp,
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=ENDS_S,
            limit_concurrency=MOST_CONNECTIONS,
        )
    )


def _bound(where: Listening) -> socket.socket:
    try:
        listening = socket.create_server((where.host, where.port), backlog=128)
        # What it accepts inherits that: else the last piece of an answer waits 40 ms for the acknowledgement of the first.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        raise SpecError(
            f"{where.host}:{where.port} can't be listened on: {error.strerror}; choose another --port or --host"
        ) from error


@contextmanager
def _alone(home: Home) -> Generator[None]:
    """Raises SpecError where another server has this home."""
    home.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (home.path / ".serving").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise SpecError(
                f"{home.path} is served already, by process {file.read(20).strip() or '?'}; end that one first"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
        with contextlib.suppress(OSError):
            file.truncate(0)
