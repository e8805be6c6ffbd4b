"""How fine a clock is, whatever the system says of it."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from lutfarm_runner.machine.clock import NEVER_NS, apart_ns, clock_step_ns, grid_ns, stretch


def counter(step_ns: float, reading_ns: float = 60.0) -> Callable[[], int]:
    """A clock that moves by multiples of a step, and of which a look takes 60 to 90 ns, unevenly."""
    now_ns, looks = 0.0, 0

    def look() -> int:
        nonlocal now_ns, looks
        looks += 1
        now_ns += reading_ns + 7 * (looks % 5) + 0.3 * (looks % 11)
        return math.floor(math.floor(now_ns / step_ns) * step_ns)

    return look


@pytest.mark.parametrize(
    ("step_ns", "least", "most"),
    [
        (1, 1, 1),
        (1 / 2.1, 1, 1),
        (10, 10, 10),
        (100, 100, 100),
        (1000, 1000, 1000),
        (1e6 / 32.768, 30_517, 30_518),
        (1e3 / 54, 18, 19),  # Raspberry Pi 4
        (1e3 / 24, 41, 42),
        (1e3 / 19.2, 52, 53),  # many a phone
    ],
)
def test_the_step_of_a_clock_is_found_behind_what_a_reading_costs(step_ns: float, least: int, most: int) -> None:
    assert least <= clock_step_ns(counter(step_ns)) <= most


def test_a_clock_that_stands_still_and_one_that_goes_back_have_no_fine_step() -> None:
    assert clock_step_ns(lambda: 5) == NEVER_NS
    back = iter(range(10**9, 0, -1))
    assert clock_step_ns(lambda: next(back)) == NEVER_NS


@pytest.mark.parametrize(
    ("differences", "step_ns"),
    [({1000, 2000, 5000}, 1000), ({60}, 60), ({41, 42, 83, 84, 125}, 42), ({40, 41, 42, 43}, 1), ({40, 50, 70}, 10)],
)
def test_differences_lie_on_a_grid(differences: set[int], step_ns: int) -> None:
    assert grid_ns(differences) == step_ns


def test_readings_lie_apart_even_where_one_step_is_longer() -> None:
    assert 60 <= apart_ns(counter(1000)) <= 100


@pytest.mark.parametrize(
    ("iteration_ns", "step_ns", "count"),
    [(660, 1000, 152), (2_560, 1000, 40), (99_999, 1000, 2), (100_000, 1000, 1), (3_000, 1, 1), (0, 1000, 100_000)],
)
def test_so_many_iterations_span_a_hundred_steps(iteration_ns: int, step_ns: int, count: int) -> None:
    assert stretch(iteration_ns, step_ns) == count
