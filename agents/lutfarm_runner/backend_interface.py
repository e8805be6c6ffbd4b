"""What the runner asks of a runtime: a backend, and a model that it has loaded."""

from __future__ import annotations

from typing import Any, Callable, Optional, Protocol, Sequence

from lutfarm_runner.commands import Workload


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
