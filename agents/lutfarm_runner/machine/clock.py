"""How fine the clock is, measured: what the system says of it is often wrong by a factor of a thousand.

clock_getres says 1 ns of a counter of 1 MHz (SiFive's boards, some virtual machines); its readings move by 1,000 ns.
"""

from __future__ import annotations

import functools
import time
from typing import Callable, List, Set

LEAST_STEPS = 100  # that a timed stretch should span: one step is 1 % of it then
LEAST_READINGS = 1_000
MOST_READINGS = 200_000  # 0.1 s of a fast machine
ENOUGH_DIFFERENT = 64
NEVER_NS = 1_000_000_000  # said of a clock that did not move meanwhile
FAR = 64  # times the smallest difference: further ones tell nothing new


def clock_step_ns(now_ns: Callable[[], int]) -> int:
    """The smallest step between differing readings, at most; NEVER_NS where all of them are equal.

    A reading costs more than a fine clock's step.  So the readings lie unevenly far apart, and what counts is the
    grid that their differences lie on.
    """
    differences: Set[int] = set()
    different, last = 0, now_ns()
    for count in range(MOST_READINGS):
        for _ in range(count % 37):  # differences of many lengths
            pass
        value = now_ns()
        if value != last:
            if value > last:
                differences.add(value - last)
                different += 1
            last = value
        if count >= LEAST_READINGS and different >= ENOUGH_DIFFERENT:
            break
    return grid_ns(differences) if differences else NEVER_NS


def grid_ns(differences: Set[int]) -> int:
    """The spacing of the grid on which differences between readings lie.

    A step of 41.67 ns shows as 41 and 42, as 83 and 84: what lies 1 ns apart is one place, unless whole numbers follow
    each other for longer than rounding explains; then the step is 1 ns.
    """
    least = min(differences)
    places: List[List[int]] = []
    for value in sorted(value for value in differences if value <= FAR * least):
        if places and value - places[-1][-1] <= 1:
            places[-1].append(value)
        else:
            places.append([value])
    if any(place[-1] - place[0] > 2 for place in places):
        return 1
    centres = [(place[0] + place[-1]) / 2 for place in places]
    gaps = [after - before for before, after in zip(centres, centres[1:])]  # noqa: B905, RUF007  3.9
    return max(1, round(min(centres[0], *gaps) if gaps else centres[0]))


@functools.lru_cache(maxsize=1)
def own_step_ns() -> int:
    """Of this process's clock; measured once, in some milliseconds."""
    return clock_step_ns(time.perf_counter_ns)


def stretch(iteration_ns: int, step_ns: int, steps: int = LEAST_STEPS) -> int:
    """How many iterations to run between two readings of the clock, so that they span so many of its steps."""
    return max(1, -(-steps * step_ns // max(1, iteration_ns)))


def apart_ns(now_ns: Callable[[], int]) -> int:
    """How far two readings lie apart between which nothing happens: over 1,000, since a coarse clock does not move within one."""
    began = now_ns()
    for _ in range(250):
        now_ns()
        now_ns()
        now_ns()
        now_ns()
    return (now_ns() - began) // 1000
