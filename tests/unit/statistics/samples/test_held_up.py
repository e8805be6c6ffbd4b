"""Processes that something held up, and those that agree on nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm.statistics.samples.held_up import disagree, held_up


@pytest.mark.parametrize(
    ("estimates_ns", "out"),
    [
        ([100, 101, 102, 400], {3}),
        ([400, 100, 101, 102, 350], {0, 4}),
        ([100, 101, 102, 400, 410, 420], set()),  # as many as agree: who knows
        ([100, 101, 400], set()),  # two that agree are too few
        ([100, 101, 102, 124], set()),  # not a quarter more
        ([100, 101, 102, 128], {3}),
        ([50, 100, 101, 102, 400], set()),  # it is those that agree which may have been held up
        ([100, 108, 116, 124, 132], set()),
        ([100.0], set()),
        ([], set()),
    ],
)
def test_who_was_held_up(estimates_ns: list[float], out: set[int]) -> None:
    assert held_up(estimates_ns) == out


@given(st.lists(st.floats(1, 1e9), max_size=12), st.floats(1e-3, 1e3))
def test_it_never_leaves_out_the_fastest_nor_half_of_them(estimates_ns: list[float], factor: float) -> None:
    out = held_up(estimates_ns)
    assert 2 * len(out) < len(estimates_ns) or not out
    assert not out or min(estimates_ns[at] for at in out) > min(estimates_ns)


@pytest.mark.parametrize(
    ("estimates_ns", "apart"), [([100, 124], False), ([100, 125], True), ([100], False), ([], False), ([300, 100, 101], True)]
)
def test_processes_that_differ_by_a_quarter_disagree(estimates_ns: list[float], apart: bool) -> None:
    assert disagree(estimates_ns) is apart
