"""A runtime without a runtime: for tests, for planning, for interpreters that have no numpy.

A model file is JSON: {"iteration_ns": 50000, "fault": "segv", "after": 20, "values": [1.0, 2.0]}.
An iteration spins for iteration_ns, or sleeps where "pause" is true: many devices can share a core then.
The fault strikes at the run with the number `after` (0: in loading):
segv, kill, abort, exit, hang, raise, memory (allocates until it is stopped), print (to descriptor 1),
chatter (1 MB to descriptor 2, then exit); unstable (another output each time), counts (so, until it is reset) and
nan (in the output).
"""

from __future__ import annotations

import ctypes
import itertools
import json
import math
import os
import signal
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence

from lutfarm_runner.commands import Workload


def _memory() -> None:
    hoard: List[bytearray] = []
    while True:
        hoard.append(bytearray(1 << 26))


def _print() -> None:
    os.write(1, b'{"type":"done","cancelled":false}\n')
    ctypes.CDLL(None).puts(b"native noise")


def _chatter() -> None:
    for _ in range(16):
        os.write(2, b"noise\x1b\xff " * (1 << 13))
    os._exit(3)


def _raise() -> None:
    raise ValueError("simulated failure")


def _hang() -> None:
    while True:
        time.sleep(60)


def _signal(name: str) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), getattr(signal, name))


FAULTS: Dict[str, Callable[[], None]] = {
    "segv": _signal("SIGSEGV"),
    "kill": _signal("SIGKILL"),
    "abort": _signal("SIGABRT"),
    "exit": lambda: os._exit(3),
    "hang": _hang,
    "raise": _raise,
    "memory": _memory,
    "print": _print,
    "chatter": _chatter,
    "unstable": lambda: None,
    "counts": lambda: None,
    "nan": lambda: None,
}


_READ = itertools.count()  # how many outputs of this process were read: another one each time


class SimulatedModel:
    """Spins; goes wrong when told to."""

    unbound = ""

    def __init__(self, model: Dict[str, Any]) -> None:
        self._iteration_ns = int(model.get("iteration_ns", 50_000))
        self._pause = model.get("pause") is True
        self._fault = str(model.get("fault", ""))
        self._after = int(model.get("after", 1))
        self._values = [float(value) for value in model.get("values", [1.0])]
        self._runs = 0

    def strike(self) -> None:
        """The fault, if this is the run for it."""
        if self._fault and self._runs == self._after:
            FAULTS[self._fault]()

    def run(self) -> None:
        if self._pause:
            time.sleep(self._iteration_ns / 1e9)
        end = time.perf_counter_ns() + (0 if self._pause else self._iteration_ns)
        self._runs += 1
        self.strike()
        while time.perf_counter_ns() < end:
            pass

    def feed(self, workload: Workload) -> None:
        """Nothing to feed."""

    def outputs(self) -> List[List[float]]:
        if self._fault == "nan":
            return [[math.nan for _ in self._values]]
        added = next(_READ) if self._fault == "unstable" else self._runs if self._fault == "counts" else 0
        return [[value + added for value in self._values]]

    def bind_outputs(self) -> None:
        """Nothing to bind."""

    def reset(self) -> None:
        """Begin to count again, if that is a state."""
        if self._fault == "counts":
            self._runs = 0


class Simulated:
    """The runtime."""

    floor_ns: Optional[int] = None

    def warm(self) -> None:
        """Nothing to pay."""

    def draw_ahead(self, seed: int) -> None:
        """Nothing to draw."""

    def load(self, workload: Workload) -> SimulatedModel:
        model = SimulatedModel(json.loads(Path(workload.path).read_text(encoding="utf-8")))
        model.strike()
        return model

    def difference(self, one: Sequence[float], other: Sequence[float]) -> float:
        pairs = zip(one, other)  # noqa: B905  3.9
        return max((0.0 if a == b or (a != a and b != b) else abs(a - b) for a, b in pairs), default=0.0)

    def largest(self, one: Sequence[float]) -> float:
        return max((abs(value) for value in one if math.isfinite(value)), default=0.0)

    def nans(self, one: Sequence[float]) -> int:
        return sum(map(math.isnan, one))

    def finite(self, one: Sequence[float]) -> bool:
        return all(map(math.isfinite, one))

    def tolerance(self, one: Sequence[float]) -> float:
        del one
        return 1e-4


def open_backend(threads: int) -> Simulated:
    """Nothing to import, whatever the number of threads."""
    del threads
    return Simulated()
