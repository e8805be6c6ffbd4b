"""Load one workload and run it for the first time, within limits; the same in the probe and in the round."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import List

from lutfarm_runner.backend_interface import Backend, Model
from lutfarm_runner.commands import Limits, Workload
from lutfarm_runner.machine.clock import own_step_ns, stretch
from lutfarm_runner.machine.limits import allow_memory
from lutfarm_runner.shared_page import Page
from lutfarm_runner.workload_failure import Failed, calling

WARM_ITERATIONS = 7  # after the first two; their median is the estimate
ROUGH_STEPS = 20  # of the clock: shorter iterations are timed together
WARM_NS = 60_000_000  # of which no further one is begun after this


@dataclass(frozen=True)
class Loaded:
    """A model that ran once, and whose outputs are bound."""

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
    first_inference_ns = time.perf_counter_ns() - start
    with calling("binding the outputs"):
        model.bind_outputs()
    return Loaded(model, load_ns, first_inference_ns)


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
    middle_ns = warm[len(warm) // 2]
    count = stretch(max(middle_ns, 1), own_step_ns(), ROUGH_STEPS)
    return middle_ns if count == 1 else _together_ns(model, workload, limits, page, count)


def _together_ns(model: Model, workload: Workload, limits: Limits, page: Page, count: int) -> int:
    """The mean of iterations that are short of the clock's step, in steps: as many as it takes, at most `count`."""
    page.mark(workload.id, deadline(limits.iteration_s))
    start, done, spent_ns = time.perf_counter_ns(), 0, 0
    with calling("running"):
        while done < count and spent_ns < ROUGH_STEPS * own_step_ns():
            model.run()
            done += 1
            spent_ns = time.perf_counter_ns() - start
    if spent_ns <= 0:
        raise Failed("WorkloadFailed", f"the device's clock did not move over {done} iterations: choose a finer clocksource")
    return max(1, spent_ns // done)
