"""Slices are judged again by a better reference: quiet can only be taken away, samples never."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.store_kit import SLICE, run

from lutfarm.statistics import sample
from lutfarm.statistics.regate import regated
from lutfarm_jobs.measurement import Slice

levels = st.integers(50_000, 200_000)
slices = st.builds(
    lambda before, after, quiet, gated: replace(
        SLICE, canary_before_ns=before, canary_after_ns=after, quiet=quiet, gated=gated
    ),
    levels, levels, st.booleans(), st.booleans(),
)


@given(st.lists(slices, max_size=8).map(tuple), levels)
def test_only_gated_quiet_slices_above_the_gate_change(pieces: tuple[Slice, ...], reference_ns: int) -> None:
    before = run(slices=pieces)
    after = regated(before, reference_ns=reference_ns, gate_ratio=1.12)
    assert replace(after, slices=pieces) == before
    for old, new in zip(pieces, after.slices, strict=True):
        loud = max(old.canary_before_ns, old.canary_after_ns) > 1.12 * reference_ns
        assert new == replace(old, quiet=old.quiet and not (old.gated and loud))


def test_without_a_reference_nothing_changes() -> None:
    one = run()
    assert regated(one, reference_ns=None, gate_ratio=1.12) is one


def test_a_first_round_that_was_slow_all_the_time_does_not_widen_the_interval() -> None:
    def at(factor: float, start_s: float) -> Slice:
        level = round(70_000 * factor)
        return replace(SLICE, samples_ns=(round(1000 * factor),) * 20, canary_before_ns=level, canary_after_ns=level)

    runs = [run(started_s=float(n), slices=(at(1.5 if n == 0 else 1.0, n),) * 4) for n in range(5)]
    as_taken = sample(runs)
    judged = sample(regated(one, reference_ns=70_000, gate_ratio=1.12) for one in runs)
    assert as_taken is not None
    assert judged is not None
    assert len(as_taken.processes) == 5
    assert set(judged.levels_ns) == {1000.0}
    assert (judged.runs_left_out, judged.contended_median_ns) == (1, 1500.0)
