"""The canary's reference."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm.statistics import CanaryReference, canary_reference


def every_20_s(*levels_ns: int) -> list[tuple[float, int]]:
    return [(1000.0 + 20 * at, level) for at, level in enumerate(levels_ns)]


@pytest.mark.parametrize(
    ("levels_ns", "reference"),
    [
        ((), CanaryReference(None, provisional=True)),
        ((100,), CanaryReference(100, provisional=True)),
        ((100, 101), CanaryReference(100, provisional=True)),
        ((100, 150), CanaryReference(None, provisional=True)),
        ((100, 101, 102), CanaryReference(101, provisional=True)),
        ((100, 101, 102, 103), CanaryReference(102, provisional=False)),
        ((150, 100, 151, 101, 149, 102), CanaryReference(101, provisional=False)),
        # one lucky round does not become the reference
        ((60, 100, 101, 102, 103, 100), CanaryReference(101, provisional=False)),
        # nor do two of twelve
        ((60, 61, *(100,) * 10), CanaryReference(100, provisional=False)),
        # nor three of twenty, though they repeat
        ((60, 61, 60, *(100,) * 17), CanaryReference(100, provisional=False)),
        ((60, 61, 60, 60, *(100,) * 16), CanaryReference(60, provisional=False)),
        # the slow state alone is all that is known
        ((150, 151, 150, 149), CanaryReference(150, provisional=False)),
        ((100, 120, 145, 175), CanaryReference(None, provisional=True)),
        ((0, 0, 0, 0, 0), CanaryReference(None, provisional=True)),
    ],
)
def test_the_lower_mode(levels_ns: tuple[int, ...], reference: CanaryReference) -> None:
    assert canary_reference(every_20_s(*levels_ns)) == reference


def test_many_rounds_in_a_minute_are_still_one_moment() -> None:
    moment = [(1000.0 + at, 100) for at in range(59)]
    assert canary_reference(moment) == CanaryReference(100, provisional=True)
    assert canary_reference([*moment, (1060.0, 100)]) == CanaryReference(100, provisional=False)


def test_three_rounds_are_too_few_however_far_apart() -> None:
    apart = [(0.0, 100), (5000.0, 100), (10_000.0, 100)]
    assert canary_reference(apart) == CanaryReference(100, provisional=True)
    assert canary_reference([*apart, (10_001.0, 100)]) == CanaryReference(100, provisional=False)


@given(st.lists(st.integers(50, 500), min_size=1, max_size=40), st.integers(2, 50), st.randoms(use_true_random=False))
def test_order_does_not_matter_and_scale_goes_through(levels_ns: list[int], factor: int, dice: Random) -> None:
    rounds = every_20_s(*levels_ns)
    found = canary_reference(rounds)
    scaled = [(at_s, level * factor) for at_s, level in rounds]
    dice.shuffle(scaled)
    other = canary_reference(scaled)
    assert other.provisional == found.provisional
    if found.reference_ns is None:
        assert other.reference_ns is None
    else:
        assert min(levels_ns) <= found.reference_ns <= max(levels_ns)
        assert other.reference_ns == pytest.approx(found.reference_ns * factor, abs=factor)
