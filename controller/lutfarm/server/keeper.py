"""Keeps a dispatcher running: starts it, hears whether it lives, starts another one when it has died, ends it."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from lutfarm.agent_pool.ray import whereabouts
from lutfarm.agent_pool.ray.settings import LOOPBACK
from lutfarm.agent_pool.ray.whereabouts import Whereabouts
from lutfarm.execution.open_farm import ExecutorKind
from lutfarm.home import Home
from lutfarm.server.dispatcher import RAY_FILE

PAUSE_S, PAUSE_MOST_S = 0.5, 30.0  # before another one is started: doubled while they die young
YOUNG_S = 60.0
ENDS_S = 60.0  # what measures is told to end, and the devices are given back
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Keeper:
    """Of one dispatcher at a time; a context manager: leaving it ends the dispatcher."""

    socket: Path
    home: Home
    executor: ExecutorKind
    measured_cpus: Sequence[int] = ()
    node_ip: str = LOOPBACK
    _seen_s: float | None = None
    _ending: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def heard(self) -> None:
        """The dispatcher has asked something."""
        self._seen_s = time.time()

    @property
    def seen_s(self) -> float | None:
        """When it asked something last, Unix time."""
        return self._seen_s

    @property
    def ray(self) -> Whereabouts | None:
        """Where its Ray is; None while there is none."""
        return whereabouts.read(self._ray_file)

    @property
    def _ray_file(self) -> Path:
        return self.socket.with_name(RAY_FILE)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._keep, name="keeper")
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end()

    def end(self) -> None:
        """Tell it to end, and wait until it has."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()

    def _keep(self) -> None:
        pause_s = PAUSE_S
        while not self._ending.is_set():
            began_s = time.monotonic()
            self._run()
            if self._ending.is_set():
                return
            pause_s = PAUSE_S if time.monotonic() - began_s > YOUNG_S else min(PAUSE_MOST_S, pause_s * 2)
            log.warning("the dispatcher has ended; another one is started", extra={"pause_s": pause_s})
            self._ending.wait(pause_s)

    def _run(self) -> None:
        cpus = ",".join(map(str, self.measured_cpus))
        command = [sys.executable, "-m", "lutfarm.server.dispatcher"]
        with subprocess.Popen(  # noqa: S603
            [*command, str(self.socket), str(self.home.path), self.executor, cpus, self.node_ip], stdin=subprocess.DEVNULL
        ) as process:
            log.info("dispatcher started", extra={"pid": process.pid})
            while process.poll() is None and not self._ending.wait(0.2):
                pass
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(ENDS_S)
                except subprocess.TimeoutExpired:
                    log.warning("the dispatcher does not end, and is killed", extra={"pid": process.pid})
                    process.kill()
        whereabouts.remove(self._ray_file)  # a killed one could not
        log.info("dispatcher ended", extra={"pid": process.pid, "code": process.returncode})
