"""Whether a workload puts out what it should: the reference, or the same twice; and what a reader has to know of its outputs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Sequence

from lutfarm_runner.backend_interface import Backend, Model
from lutfarm_runner.commands import SOMETIMES_RANDOM, Expected, Workload
from lutfarm_runner.workload_failure import Failed, calling

EMPTY_OUTPUTS = "empty_outputs"
NAN_OUTPUTS = "nan_outputs"
NONDETERMINISTIC = "nondeterministic"
STATEFUL = "stateful"
UNBOUND = "unbound_outputs"
MOST_RUNS = 8  # after the first: a state may show only every so many runs
RUNS_NS = 20_000_000  # of which no further one is begun after this


@dataclass(frozen=True)
class Agreement:
    """How far the output is from the reference, relative to its largest value; None without one.  Notes by flag."""

    apart: Optional[float]
    notes: Dict[str, str]
    model: Model  # another one where the first had a state that it could not put back


def agreement(
    backend: Backend, model: Model, workload: Workload, *, begun: Callable[[], None], again: Callable[[], Model]
) -> Agreement:
    """Judge a model that ran once.  `begun` is told before each further run; `again` loads a second copy and runs it once.

    Raises Failed: Unstable where the output is not the reference, or changes from run to run and nothing says why.
    """
    once = read(model)
    notes = {UNBOUND: model.unbound} if model.unbound else {}
    if workload.expected is not None:
        return Agreement(_from_reference(backend, once, workload.expected), notes, model)
    notes.update(_holding_nan(backend, once))
    if not any(len(row) for row in once):
        notes[EMPTY_OUTPUTS] = "no output has any element" if once else "no output holds anything"
    certain = [name for name in workload.random if name not in SOMETIMES_RANDOM]
    changes = _ever_changes(backend, once, model, begun)
    if certain or (changes and workload.random):
        notes[NONDETERMINISTIC] = ", ".join(workload.random)
    elif changes:
        model = _put_back(backend, model, once, begun, again, changes)
        notes[STATEFUL] = changes
    return Agreement(None, notes, model)


def read(model: Model) -> Sequence[Any]:
    """The outputs of its last run."""
    with calling("reading the outputs"):
        return model.outputs()


def _next(model: Model, begun: Callable[[], None]) -> Sequence[Any]:
    begun()
    with calling("running"):
        model.run()
    return read(model)


def _ever_changes(backend: Backend, once: Sequence[Any], model: Model, begun: Callable[[], None]) -> str:
    """How the outputs of one of the next few runs differ from those of the first; empty where none do."""
    end_ns = time.monotonic_ns() + RUNS_NS
    for _ in range(MOST_RUNS):
        changes = _changes(backend, once, _next(model, begun))
        if changes or time.monotonic_ns() >= end_ns:
            return changes
    return ""


def _put_back(
    backend: Backend, model: Model, once: Sequence[Any], begun: Callable[[], None], again: Callable[[], Model], changes: str
) -> Model:
    """The model whose outputs are those of the first run once its state is put back, or loaded afresh."""
    with calling("resetting its state"):
        model.reset()
    if not _changes(backend, once, _next(model, begun)):
        return model
    fresh = again()
    if not _changes(backend, once, read(fresh)):
        return fresh
    raise Failed("Unstable", changes)


def _holding_nan(backend: Backend, rows: Sequence[Any]) -> Dict[str, str]:
    found: List[str] = []
    for index, row in enumerate(rows):
        count = backend.nans(row)
        if count:
            found.append(f"output {index}: {count} of {len(row)}")
    return {NAN_OUTPUTS: "; ".join(found[:5])} if found else {}


def _changes(backend: Backend, once: Sequence[Any], again: Sequence[Any]) -> str:
    """How the outputs differ from those of another run; empty where they do not."""
    if len(once) != len(again):
        return f"the number of outputs changes from run to run: {len(once)} and {len(again)}"
    for index, (one, other) in enumerate(zip(once, again)):  # noqa: B905  3.9
        apart, most = backend.difference(one, other), backend.largest(one)
        if not apart <= backend.tolerance(one) * most:
            return f"output {index} changes by {apart:.3g} from run to run; its largest value is {most:.6g}"
    return ""


def _from_reference(backend: Backend, rows: Sequence[Any], expected: Expected) -> float:
    if not rows or len(rows[0]) <= max(expected.positions):
        size = len(rows[0]) if rows else 0
        most = max(expected.positions)
        raise Failed("Unstable", f"the first output has {size} elements, and none at {most}")
    found = [float(rows[0][position]) for position in expected.positions]
    if not any(value != value for value in expected.values) and not backend.finite(rows[0]):
        raise Failed("Unstable", "the output holds NaN or infinity where the reference has none")
    pairs = list(zip(found, expected.values))  # noqa: B905  3.9
    apart = max(0.0 if a == b or (a != a and b != b) else abs(a - b) for a, b in pairs)
    relative = apart / expected.largest if expected.largest > 0 else apart
    if not relative <= expected.tolerance:
        raise Failed(
            "Unstable",
            f"the output is {relative:.3g} of its largest value {expected.largest:.6g} from the reference; "
            f"{expected.tolerance:.3g} is allowed",
        )
    return relative
