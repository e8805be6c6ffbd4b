"""Runtimes behind one face.  A runtime is imported when its backend is opened, and not before.

A backend's load and run are the only places where a vendor's exceptions are caught and renamed.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import time
from typing import Any, Callable, Generator, List, Optional, Protocol, Sequence

from lutfarm_runner.commands import Workload
from lutfarm_runner.known_runtimes import known_runtimes
from lutfarm_runner.machine.clock import own_step_ns, stretch
from lutfarm_runner.wire import Refused

OUT_OF_MEMORY = ("bad_alloc", "failed to allocate", "cannot allocate memory", "out of memory", "length_error")


class Failed(Exception):
    """A MeasurementError of the host: a result, not a fault of the runner."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class Model(Protocol):
    """A loaded workload."""

    run: Callable[[], object]  # one iteration; the cheapest public call path that this model takes
    unbound: str  # why its outputs are allocated anew each time; empty: they are not

    def feed(self, workload: Workload) -> None:
        """Make up the inputs and bind them once.  Raises whatever the vendor raises, or Failed."""
        ...

    def bind_outputs(self) -> None:
        """Called once, after the first run: from now on outputs stay where they are, if they can.  `run` may be another then."""
        ...

    def outputs(self) -> Sequence[Any]:
        """Copies of all outputs of the last run, as rows that the backend can compare."""
        ...

    def reset(self) -> None:
        """Put the model's own state back to what it was before the first run, where the runtime can."""
        ...


class Backend(Protocol):
    """An imported runtime."""

    floor_ns: Optional[int]  # what a call costs that computes nothing; None: unknown

    def warm(self) -> None:
        """Pay what a process pays once, learn the floor.  Leaves no thread behind."""
        ...

    def draw_ahead(self, seed: int) -> None:
        """Make what input data of this seed will most likely be needed."""
        ...

    def load(self, workload: Workload) -> Model:
        """Load; nothing is fed or run yet.  Raises whatever the vendor raises, or Failed."""
        ...

    def difference(self, one: Any, other: Any) -> float:
        """The largest absolute difference of two rows' finite elements; infinite where anything else differs."""
        ...

    def largest(self, one: Any) -> float:
        """The largest absolute value of a row's finite elements."""
        ...

    def nans(self, one: Any) -> int:
        """How many elements of a row are NaN."""
        ...

    def finite(self, one: Any) -> bool:
        """Whether a row holds neither NaN nor an infinity."""
        ...

    def tolerance(self, one: Any) -> float:
        """By how much of its largest value a row may differ from run to run."""
        ...


@contextlib.contextmanager
def calling(doing: str) -> Generator[None, None, None]:
    """Around a vendor's code: its exceptions, which have no common root, become Failed."""
    try:
        yield
    except Failed:
        raise
    except Exception as error:
        raise failed(error, doing) from error


def failed(error: BaseException, doing: str) -> Failed:
    """A vendor's exception by what it means.  The text is the vendor's own."""
    text = f"{type(error).__name__}: {error}"
    memory = isinstance(error, MemoryError) or any(sign in text.lower() for sign in OUT_OF_MEMORY)
    return Failed("OutOfMemory" if memory else "WorkloadFailed", f"{doing}: {text}"[:2000])


def call_floor_ns(run: Callable[[], object], calls: int = 400) -> int:
    """The lower quartile of so many calls, as a slice would time them: together, where the clock is too coarse for one."""
    now = time.perf_counter_ns
    began = now()
    for _ in range(calls // 4):
        run()
    size = min(stretch((now() - began) // (calls // 4), own_step_ns()), calls)
    samples: List[int] = []
    for _ in range(calls // size):
        start = now()
        for _ in range(size):
            run()
        samples.append((now() - start) // size)
    return sorted(samples)[len(samples) // 4]


def open_backend(runtime: str, threads: int) -> Backend:
    """Import a runtime and warm it.  Raises Refused (NotReady) where this interpreter lacks it or it is broken."""
    if runtime not in known_runtimes():
        raise Refused("SpecError", f"this runner has no runtime {runtime!r}")
    try:
        module = importlib.import_module(f"lutfarm_runner.backends.{runtime}")
        backend: Backend = module.open_backend(threads)
    except ImportError as error:
        raise Refused("NotReady", f"{runtime} can't be imported: {error}; install it in {sys.executable}") from error
    except Refused:
        raise
    except Exception as error:
        # So are a runtime's that is installed and broken, and a backend's from a package of somebody else.
        why = f"{type(error).__name__}: {error}"
        raise Refused("NotReady", f"{runtime} fails while it is imported in {sys.executable}: {why}"[:2000]) from error
    try:
        backend.warm()
    except Exception as error:
        # A vendor's exceptions have no common root.
        raise Refused("NotReady", f"{runtime} is broken in {sys.executable}: {error}"[:2000]) from error
    return backend
