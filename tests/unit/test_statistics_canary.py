"""The canary's reference."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm.canary_round import CanaryRound, basis_of, difference
from lutfarm.statistics import CanaryReference, canary_reference


def every(seconds: float, *levels_ns: int, high_ns: int | None = None) -> list[CanaryRound]:
    return [CanaryRound(1000.0 + seconds * at, level, high_ns) for at, level in enumerate(levels_ns)]


@pytest.mark.parametrize(
    ("levels_ns", "reference_ns"),
    [
        ((), None),
        ((100,), 100),
        ((100, 101), 100),
        ((100, 150), None),
        ((100, 101, 102), 101),
        ((150, 100, 151, 101, 149, 102), 101),
        # one lucky round does not become the reference
        ((60, 100, 101, 102, 103, 100), 101),
        # nor do two of twelve
        ((60, 61, *(100,) * 10), 100),
        # nor three of forty, though they repeat; one in ten is a speed that the machine has
        ((60, 61, 60, *(100,) * 37), 100),
        ((60, 61, 60, 60, *(100,) * 36), 60),
        # the slow speed alone is all that is known
        ((150, 151, 150, 149), 150),
        ((100, 120, 145, 175), None),
        ((0, 0, 0, 0, 0), None),
    ],
)
def test_the_lower_mode(levels_ns: tuple[int, ...], reference_ns: int | None) -> None:
    assert canary_reference(every(20, *levels_ns)).reference_ns == reference_ns


@pytest.mark.parametrize(
    ("rounds", "provisional"),
    [
        (every(40, *[100] * 16), False),                 # ten minutes of one speed
        (every(39, *[100] * 16), True),
        (every(1000, *[100] * 15), True),                # too few, however far apart
        (every(4, *[100] * 12, *[150] * 4), False),      # both speeds were seen: a minute is enough
        (every(3.9, *[100] * 12, *[150] * 4), True),
        (every(4, *[100] * 14, *[150] * 2), True),       # twice is no speed of its own
        (every(4, *[100] * 16, high_ns=113), False),     # within each round the machine was slower for a tenth of the time
        (every(4, *[100] * 16, high_ns=112), True),
        (every(0.05, *[100] * 1000), True),              # many rounds in a minute are still one moment
        (every(1000, *range(100, 1000, 10)), True),      # nothing repeats
    ],
)
def test_what_establishes_it(rounds: list[CanaryRound], provisional: bool) -> None:
    assert canary_reference(rounds).provisional is provisional


@given(st.lists(st.integers(50, 500), min_size=1, max_size=40), st.integers(2, 50), st.randoms(use_true_random=False))
def test_order_does_not_matter_and_scale_goes_through(levels_ns: list[int], factor: int, dice: Random) -> None:
    found = canary_reference(every(40, *levels_ns))
    scaled = every(40, *(level * factor for level in levels_ns))
    dice.shuffle(scaled)
    other = canary_reference(scaled)
    assert other.provisional == found.provisional
    if found.reference_ns is None:
        assert other == CanaryReference(None, provisional=True)
    else:
        assert min(levels_ns) <= found.reference_ns <= max(levels_ns)
        assert other.reference_ns == pytest.approx(found.reference_ns * factor, abs=factor)


def test_what_makes_another_canary() -> None:
    before = basis_of({"runtime": "onnxruntime 1.31", "governor": "", "os": "Linux 6.1", "models": "1"})
    after = basis_of({"runtime": "onnxruntime 1.32", "governor": "performance", "os": "Linux 6.2", "models": "1"})
    assert before == (("models", "1"), ("runtime", "onnxruntime 1.31"))
    assert difference(before, after) == "governor unknown -> performance, runtime onnxruntime 1.31 -> onnxruntime 1.32"
    assert basis_of({"runtime": "onnxruntime 1.31", "os": "Linux 6.2", "models": "1", "runner_sha256": "x"}) == before
