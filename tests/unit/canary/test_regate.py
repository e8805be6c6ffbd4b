"""Slices are judged again by a better reference; nothing but verdicts changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.store_kit import SLICE, run

from lutfarm.canary.reference import CanaryReference
from lutfarm.canary.regate import regated
from lutfarm.statistics import sample
from lutfarm_jobs.run import Slice

levels = st.integers(50_000, 200_000)
slices = st.builds(
    lambda before, after, quiet, gated, switches: replace(
        SLICE, canary_before_ns=before, canary_after_ns=after, quiet=quiet, gated=gated, involuntary_switches=switches
    ),
    levels,
    levels,
    st.booleans(),
    st.booleans(),
    st.integers(0, 1),
)


@given(st.lists(slices, max_size=8).map(tuple), levels, st.booleans(), st.integers(0, 9))
def test_only_verdicts_change(pieces: tuple[Slice, ...], reference_ns: int, provisional: bool, rejected: int) -> None:
    before = run(slices=pieces, canary_reference_ns=70_000, slices_rejected=rejected)
    after = regated(before, CanaryReference(reference_ns, provisional), gate_ratio=1.12)
    restored = 0
    for old, new in zip(pieces, after.slices, strict=True):
        loud = max(old.canary_before_ns, old.canary_after_ns) > 1.12 * reference_ns or (old.gated and old.involuntary_switches)
        assert new == replace(old, quiet=not loud)
        restored += new.quiet and not old.quiet
    assert after.slices_rejected == max(0, rejected - restored)
    assert (after.canary_reference_ns, after.reference_provisional) == (reference_ns, provisional)
    kept = {name: getattr(before, name) for name in ("slices", "slices_rejected", "canary_reference_ns", "reference_provisional")}
    assert replace(after, **kept) == before
    assert regated(after, CanaryReference(reference_ns, provisional), gate_ratio=1.12) == after


def test_without_a_reference_nothing_changes() -> None:
    one = run()
    assert regated(one, CanaryReference(), gate_ratio=1.12) is one


def test_a_tools_run_gets_no_reference() -> None:
    one = run(slices=(), canary_reference_ns=None)
    assert regated(one, CanaryReference(70_000, provisional=False), gate_ratio=1.12).canary_reference_ns is None


def test_slices_of_a_canary_that_became_slower_count_once_that_is_known() -> None:
    slow = replace(SLICE, canary_before_ns=98_000, canary_after_ns=98_100, quiet=False)
    before = run(slices=(slow,) * 3, canary_reference_ns=70_000, slices_rejected=16)
    after = regated(before, CanaryReference(98_000, provisional=False), gate_ratio=1.12)
    assert [piece.quiet for piece in after.slices] == [True] * 3
    assert after.slices_rejected == 13
    found = sample([after])
    assert found is not None
    assert found.statistic == "p25_quiet"


@pytest.mark.parametrize(
    ("delays_ns", "quiet"),
    [
        ([0, 0, 40_000, 5_000_000], [True, True, True, False]),
        ([300_000, 330_000, 350_000, 900_000], [True, True, True, False]),  # its own threads' waking takes 3 %
        ([4_000_000] * 4, [False] * 4),  # a neighbour on its core, all the time
    ],
)
def test_a_swept_iteration_that_lost_its_core_does_not_count(delays_ns: list[int], quiet: list[bool]) -> None:
    long = replace(SLICE, samples_ns=(10**7,), gated=False, wall_ns=10**7, cpu_ns=10**7, involuntary_switches=3)
    before = run(slices=tuple(replace(long, run_delay_ns=ns) for ns in delays_ns), canary_reference_ns=70_000)
    after = regated(before, CanaryReference(70_000, provisional=False), gate_ratio=1.12)
    assert [piece.quiet for piece in after.slices] == quiet


def test_without_an_account_of_waiting_wall_and_processor_time_tell() -> None:
    long = replace(SLICE, samples_ns=(10**7,), gated=False, wall_ns=10**7, cpu_ns=10**7)
    before = run(slices=(long, replace(long, cpu_ns=8 * 10**6), replace(long, cpu_ns=19 * 10**6)), canary_reference_ns=70_000)
    after = regated(before, CanaryReference(70_000, provisional=False), gate_ratio=1.12)
    assert [piece.quiet for piece in after.slices] == [True, False, True]  # two threads have more of it than wall time


def test_a_first_round_that_was_slow_all_the_time_does_not_widen_the_interval() -> None:
    def at(factor: float, start_s: float) -> Slice:
        level = round(70_000 * factor)
        return replace(SLICE, samples_ns=(round(1000 * factor),) * 20, canary_before_ns=level, canary_after_ns=level)

    runs = [run(started_s=float(n), slices=(at(1.5 if n == 0 else 1.0, n),) * 4) for n in range(5)]
    as_taken = sample(runs)
    judged = sample(regated(one, CanaryReference(70_000, provisional=False), gate_ratio=1.12) for one in runs)
    assert as_taken is not None
    assert judged is not None
    assert len(as_taken.processes) == 4  # the slow one was held up beside those that agree
    assert set(judged.estimates) == {1000.0}
    assert (judged.runs_left_out, judged.contended_median) == (1, 1500.0)
