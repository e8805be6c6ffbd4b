"""The Ray of our own is ended with all of its processes, at once where a person interrupts that.  No Ray here."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import psutil

from lutfarm.agent_pool.ray.processes import descendants

END_S = 10.0


def end(processes: Iterable[psutil.Process], *, patience_s: float = END_S) -> int:
    """Wait for these to end, and kill those that do not; how many had to be killed."""
    _, alive = psutil.wait_procs(processes, timeout=patience_s)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=END_S)
    return len(alive)


@dataclass(frozen=True, slots=True)
class Ending:
    """Leaving it calls `shutdown`, and waits for what this process has started beside `but`.

    Where a person interrupts the block, or that end of it, everything is killed instead.
    """

    shutdown: Callable[[], None]
    but: Collection[psutil.Process]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._kill()
            return
        try:
            self.shutdown()
            end(self._started())
        except KeyboardInterrupt:
            self._kill()
            raise

    def _started(self) -> set[psutil.Process]:
        return descendants() - set(self.but)

    def _kill(self) -> None:
        # Ray's shutdown asks the GCS for leave: 0.3 s while that lives, 5 s without it, and left out it comes when Python exits.
        end({process for process in self._started() if not _is_gcs(process)}, patience_s=0)
        self.shutdown()
        end(self._started(), patience_s=0)


def _is_gcs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.name() == "gcs_server"
    return False
