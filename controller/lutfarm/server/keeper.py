"""Keeps a dispatcher running: starts it, hears whether it lives, starts another one when it has died, ends it."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from lutfarm.agent_pool.ray import whereabouts
from lutfarm.agent_pool.ray.settings import LOOPBACK
from lutfarm.agent_pool.ray.whereabouts import Whereabouts
from lutfarm.execution.intake_note import FILE, IntakeNote
from lutfarm.execution.open_farm import ExecutorKind
from lutfarm.home import Home
from lutfarm.server.dispatcher import RAY_FILE
from lutfarm.server.job_deaths import seen_of

PAUSE_S, PAUSE_MOST_S = 0.5, 30.0  # before another one is started: doubled while they die young
YOUNG_S = 60.0
ENDS_S = 8.0  # what measures is told to end, and the devices are given back; else it is killed, and its leases end with it
LOOKS_S = 0.2
HANGS_S = 60.0  # the loop asks several times a second; one that asks nothing for so long stands still
STARTS_S = 300.0  # ... and one that has not asked yet: a Ray starts first
TAKES_IN_S = 900.0  # ... and one that reads a job or builds its models
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Keeper:
    """Of one dispatcher at a time; a context manager: leaving it ends the dispatcher."""

    socket: Path
    home: Home
    executor: ExecutorKind
    measured_cpus: Sequence[int] = ()
    node_ip: str = LOOPBACK
    hangs_s: float = HANGS_S
    died: Callable[[str], None] = lambda _: None  # told how a dispatcher ended that nobody has told to
    _seen_s: float | None = None
    _asked: int = 0  # how often it has asked
    _answering: int = 0  # how many of its questions the server is at
    _ending: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @contextmanager
    def asked(self) -> Generator[None]:
        """The dispatcher asks something; its loop alone does, so that one that asks goes on."""
        self._seen_s = time.time()
        self._asked += 1
        self._answering += 1
        try:
            yield
        finally:
            self._answering -= 1
            self._asked += 1

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
            how = self._run()
            if self._ending.is_set():
                self._note.forget()  # whatever it was at, it was told to end
                return
            self.died(how)
            pause_s = PAUSE_S if time.monotonic() - began_s > YOUNG_S else min(PAUSE_MOST_S, pause_s * 2)
            log.warning("the dispatcher has ended; another one is started", extra={"pause_s": pause_s})
            self._ending.wait(pause_s)

    @property
    def _note(self) -> IntakeNote:
        return IntakeNote(self.home.path / FILE)

    def _run(self) -> str:
        """How it ended."""
        how = ""
        cpus = ",".join(map(str, self.measured_cpus))
        command = [sys.executable, "-m", "lutfarm.server.dispatcher"]
        with subprocess.Popen(  # noqa: S603
            [*command, str(self.socket), str(self.home.path), self.executor, cpus, self.node_ip], stdin=subprocess.DEVNULL
        ) as process:
            log.info("dispatcher started", extra={"pid": process.pid})
            if self._stands_still(process):
                how = "stopped by its server, since it stood still"
                log.error("the dispatcher stands still, and is killed", extra={"pid": process.pid})
                process.kill()
            elif process.poll() is None:
                process.terminate()
                try:
                    process.wait(ENDS_S)
                except subprocess.TimeoutExpired:
                    log.warning("the dispatcher does not end, and is killed", extra={"pid": process.pid})
                    process.kill()
        whereabouts.remove(self._ray_file)  # a killed one could not
        log.info("dispatcher ended", extra={"pid": process.pid, "code": process.returncode})
        return how or seen_of(process.returncode)

    def _stands_still(self, process: subprocess.Popen[bytes]) -> bool:
        """Wait until it does; False once it has ended, or is to end."""
        first = asked = self._asked
        silent_s, looked_s = 0.0, time.monotonic()
        while process.poll() is None and not self._ending.wait(LOOKS_S):
            now_s = time.monotonic()
            passed_s, looked_s = now_s - looked_s, now_s
            silent_s += min(passed_s, 1.0)  # this process may have stood still itself
            if self._asked != asked or self._answering:
                silent_s, asked = 0.0, self._asked
            allowed_s = STARTS_S if asked == first else TAKES_IN_S if self._note.left() else self.hangs_s
            if silent_s > allowed_s:
                return True
        return False
