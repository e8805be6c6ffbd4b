"""Slices are judged again by a better reference; nothing but verdicts changes."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.store_kit import SLICE, run

from lutfarm.statistics import CanaryReference, sample
from lutfarm.statistics.regate import regated
from lutfarm_jobs.measurement import Slice

levels = st.integers(50_000, 200_000)
slices = st.builds(
    lambda before, after, quiet, gated, switches: replace(
        SLICE, canary_before_ns=before, canary_after_ns=after, quiet=quiet, gated=gated, involuntary_switches=switches
    ),
    levels, levels, st.booleans(), st.booleans(), st.integers(0, 1),
)


@given(st.lists(slices, max_size=8).map(tuple), levels, st.booleans(), st.integers(0, 9))
def test_only_verdicts_of_gated_slices_change(
    pieces: tuple[Slice, ...], reference_ns: int, provisional: bool, rejected: int
) -> None:
    before = run(slices=pieces, canary_reference_ns=70_000, slices_rejected=rejected)
    after = regated(before, CanaryReference(reference_ns, provisional), gate_ratio=1.12)
    restored = 0
    for old, new in zip(pieces, after.slices, strict=True):
        loud = max(old.canary_before_ns, old.canary_after_ns) > 1.12 * reference_ns or old.involuntary_switches
        assert new == replace(old, quiet=not loud if old.gated else old.quiet)
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


def test_a_first_round_that_was_slow_all_the_time_does_not_widen_the_interval() -> None:
    def at(factor: float, start_s: float) -> Slice:
        level = round(70_000 * factor)
        return replace(SLICE, samples_ns=(round(1000 * factor),) * 20, canary_before_ns=level, canary_after_ns=level)

    runs = [run(started_s=float(n), slices=(at(1.5 if n == 0 else 1.0, n),) * 4) for n in range(5)]
    as_taken = sample(runs)
    judged = sample(regated(one, CanaryReference(70_000, provisional=False), gate_ratio=1.12) for one in runs)
    assert as_taken is not None
    assert judged is not None
    assert len(as_taken.processes) == 5
    assert set(judged.levels_ns) == {1000.0}
    assert (judged.runs_left_out, judged.contended_median_ns) == (1, 1500.0)
