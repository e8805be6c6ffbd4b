"""What a call of a runtime costs that computes nothing."""

from __future__ import annotations

import time
from typing import Callable, List

from lutfarm_runner.machine.clock import own_step_ns, stretch


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
