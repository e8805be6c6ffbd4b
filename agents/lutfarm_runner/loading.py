"""Load one workload and run it for the first time, within limits; the same in the probe and in the round."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, List, Optional, Sequence

from lutfarm_runner.backends import Backend, Failed, Model, calling
from lutfarm_runner.commands import Limits, Workload
from lutfarm_runner.limits import allow_memory
from lutfarm_runner.page import Page

WARM_ITERATIONS = 7                                # after the first two; their median is the estimate
WARM_NS = 60_000_000                               # of which no further one is begun after this


@dataclass(frozen=True)
class Loaded:
    """A model that ran once."""

    model: Model
    load_ns: int
    first_inference_ns: int


def deadline(seconds: float) -> int:
    """On time.monotonic_ns, so many seconds from now."""
    return time.monotonic_ns() + int(seconds * 1e9)


def load(backend: Backend, workload: Workload, limits: Limits, page: Page) -> Loaded:
    """Load and run once.  Raises Failed; a crash or a hang is seen by who watches the page."""
    allow_memory(limits.memory_bytes)
    page.mark(workload.id, deadline(limits.load_s))
    start = time.perf_counter_ns()
    with calling("loading"):
        model = backend.load(workload)
        load_ns = time.perf_counter_ns() - start
        model.feed(workload)
    page.mark(workload.id, deadline(limits.iteration_s))
    start = time.perf_counter_ns()
    with calling("running"):
        model.run()
    return Loaded(model, load_ns, time.perf_counter_ns() - start)


def warm_iteration_ns(model: Model, workload: Workload, limits: Limits, page: Page) -> int:
    """The median of a few iterations after a warm-up of two."""
    samples: List[int] = []
    began = time.perf_counter_ns()
    while len(samples) < WARM_ITERATIONS + 2:
        page.mark(workload.id, deadline(limits.iteration_s))
        start = time.perf_counter_ns()
        with calling("running"):
            model.run()
        samples.append(time.perf_counter_ns() - start)
        if samples and time.perf_counter_ns() - began > WARM_NS:
            break
    warm = sorted(samples[2:] or samples[-1:])
    return max(1, warm[len(warm) // 2])


def agreement(backend: Backend, model: Model, workload: Workload) -> Optional[float]:
    """How far the first output is from what was expected, relative to its largest value.

    Where nothing is expected two runs have to agree, and the answer is None.  Raises Failed: Unstable.
    """
    outputs = model.outputs()
    expected = workload.expected
    if expected is None:
        with calling("running"):
            model.run()
        _stable(backend, outputs, model.outputs())
        return None
    if not outputs or len(outputs[0]) <= max(expected.positions):
        size = len(outputs[0]) if outputs else 0
        most = max(expected.positions)
        raise Failed("Unstable", f"the first output has {size} elements, and none at {most}")
    wanted_nan = any(value != value for value in expected.values)
    largest = backend.largest(outputs[0])
    if not wanted_nan and not largest < float("inf"):
        raise Failed("Unstable", "the output holds NaN or infinity where the reference has none")
    found = (float(outputs[0][position]) for position in expected.positions)
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


STABLE = 1e-4                                      # relative: threads may sum in another order


def _stable(backend: Backend, once: Sequence[Any], again: Sequence[Any]) -> None:
    for index, (one, other) in enumerate(zip(once, again)):  # noqa: B905  3.9
        largest, apart = backend.largest(one), backend.difference(one, other)
        if largest != largest:
            raise Failed("Unstable", f"output {index} holds NaN")
        if not apart <= STABLE * largest:
            raise Failed(
                "Unstable",
                f"output {index} changes by {apart:.3g} from run to run; its largest value is {largest:.6g}",
            )
