"""The canary's reference."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm.canary.reference import CanaryReference, canary_reference
from lutfarm.records.canary_round import CanaryRound, basis_of, difference, shown_idle
from lutfarm_jobs.run import Environment

HALF_HOUR_S = 1800.0
BEFORE = Environment(100.0, busy_s=50.0, own_s=1.0, cores=2, virtual=False)
AFTER = replace(BEFORE, time_s=110.0, busy_s=60.0, own_s=10.0)


def every(
    seconds: float, *levels_ns: int, low_ns: int | None = None, idle: bool | None = True, start_s: float = 1800.0
) -> list[CanaryRound]:
    return [CanaryRound(start_s + seconds * at, level, low_ns, idle) for at, level in enumerate(levels_ns)]


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
        (every(40, *[100] * 16), False),  # ten minutes of a machine that is shown to be idle
        (every(39, *[100] * 16), True),
        (every(1000, *[100] * 15), True),  # too few, however far apart
        (every(4, *[100] * 12, *[150] * 4), True),  # two speeds: the lower one may be slow, too
        (every(40, *[100] * 12, *[150] * 4), False),
        (every(0.05, *[100] * 1000), True),  # many rounds in a minute are still one moment
        (every(1000, *range(100, 1000, 10)), True),  # nothing repeats
    ],
)
def test_what_establishes_it_on_a_machine_that_is_shown_to_be_idle(rounds: list[CanaryRound], provisional: bool) -> None:
    assert canary_reference(rounds).provisional is provisional


@pytest.mark.parametrize(
    ("rounds", "provisional"),
    [
        (every(40, *[100] * 200, idle=None), True),  # two hours: whoever is there may be there for two hours
        (every(HALF_HOUR_S / 2, *[100] * 16, idle=None), False),
        (every(HALF_HOUR_S / 2, *[100] * 15, idle=None), True),
        # two sittings of one afternoon are two moments, whatever they hold
        ([*every(5, *[100] * 100, idle=None), *every(5, *[100] * 100, idle=None, start_s=20_000.0)], True),
        (every(HALF_HOUR_S, *[100] * 8, idle=None), True),
        (every(HALF_HOUR_S, *[100] * 16, idle=None), False),
        # idle ones count there, too
        ([*every(HALF_HOUR_S / 2, *[100] * 8, idle=None), *every(HALF_HOUR_S / 2, *[100] * 8, start_s=9000.0)], False),
    ],
)
def test_what_establishes_it_where_that_cannot_be_shown(rounds: list[CanaryRound], provisional: bool) -> None:
    assert canary_reference(rounds).provisional is provisional


def test_rounds_with_company_establish_nothing_however_many_they_are() -> None:
    company = every(HALF_HOUR_S, *[140] * 500, idle=False)
    assert canary_reference(company) == CanaryReference(140, provisional=True)
    once_idle = every(40, *[140] * 16, start_s=600 * HALF_HOUR_S)
    assert canary_reference([*company, *once_idle]) == CanaryReference(140, provisional=False)


def test_company_may_still_show_a_faster_speed() -> None:
    rounds = [*every(40, *[100] * 8, idle=False), *every(40, *[140] * 16, start_s=9000.0)]
    assert canary_reference(rounds) == CanaryReference(100, provisional=True)  # no idle round was as fast


@pytest.mark.parametrize(("low_ns", "provisional"), [(90, False), (89, True)])
def test_fast_readings_that_the_levels_miss_keep_it_provisional(low_ns: int, provisional: bool) -> None:
    """A neighbour that is there for all but a twentieth of the time: the 10th percentile of a round's readings is slow."""
    assert canary_reference(every(40, *[100] * 32, low_ns=low_ns)).provisional is provisional


@pytest.mark.parametrize(
    ("lucky", "of", "provisional"), [(1, 16, False), (2, 16, True), (2, 40, True), (2, 41, False), (3, 60, True)]
)
def test_one_lucky_round_does_not(lucky: int, of: int, provisional: bool) -> None:
    rounds = [*every(40, *[100] * lucky, low_ns=50), *every(40, *[100] * (of - lucky), low_ns=99, start_s=4000.0)]
    assert canary_reference(rounds) == CanaryReference(100, provisional=provisional)


@pytest.mark.parametrize(
    ("before", "after", "idle"),
    [
        (BEFORE, AFTER, True),  # 10 s of CPU time in 10 s, 9 of them its own
        (BEFORE, replace(AFTER, busy_s=64.0), True),  # half a core
        (BEFORE, replace(AFTER, busy_s=64.1), False),
        (replace(BEFORE, cores=20), replace(AFTER, busy_s=69.0, cores=20), True),  # a twentieth of all cores
        (replace(BEFORE, cores=20), replace(AFTER, busy_s=69.1, cores=20), False),
        (BEFORE, replace(AFTER, virtual=True), None),
        (BEFORE, replace(AFTER, virtual=None), None),
        (BEFORE, replace(AFTER, busy_s=90.0, virtual=True), False),  # what is seen is seen
        (BEFORE, replace(AFTER, busy_s=None), None),
        (replace(BEFORE, own_s=None), AFTER, None),
        (BEFORE, replace(AFTER, time_s=100.0), None),  # the clock was set
        (BEFORE, None, None),
        (None, None, None),
    ],
)
def test_when_a_machine_is_shown_to_be_idle(before: Environment | None, after: Environment | None, idle: bool | None) -> None:
    assert shown_idle(before, after) is idle


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
