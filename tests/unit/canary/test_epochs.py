"""The history of a canary's reference."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm.canary.epochs import HORIZON_S, SLOWER_PROVEN_S, Epoch, current, epochs, judging, recent
from lutfarm.records.canary_round import Basis, CanaryRound

OLD: Basis = (("runtime", "onnxruntime 1.31"),)
NEW: Basis = (("runtime", "onnxruntime 1.32"),)
HOUR_S = 3600.0


def rounds(*levels_ns: int, start_s: float = 0.0, every_s: float = 60.0, basis: Basis = OLD) -> list[CanaryRound]:
    return [CanaryRound(start_s + every_s * at, level, idle=True, basis=basis) for at, level in enumerate(levels_ns)]


def told(history: tuple[Epoch, ...]) -> list[tuple[str, int | None, bool, int]]:
    return [(epoch.why, epoch.reference_ns, epoch.provisional, epoch.rounds) for epoch in history]


def test_without_rounds_there_is_nothing() -> None:
    assert epochs([]) == ()
    assert epochs(rounds(0, 0)) == ()
    assert judging((), OLD, 5.0).provisional
    assert current((), OLD, 5.0).reference_ns is None


def test_a_calm_device_has_one_epoch_for_its_first_month() -> None:
    history = epochs(rounds(*[100, 101, 99, 130] * 20))
    assert told(history) == [("first contact", 100, False, 80)]
    assert (history[0].since_s, history[0].until_s) == (0.0, 79 * 60.0)


def test_until_it_is_established_it_is_provisional() -> None:
    assert told(epochs(rounds(*[100] * 5))) == [("first contact", 100, True, 5)]


def test_what_ages_out_leaves_the_rounds_of_the_last_month() -> None:
    history = epochs(rounds(*[100] * 32, every_s=24 * HOUR_S))
    assert [epoch.why for epoch in history] == ["first contact", "aged out"]
    assert history[1].detail == "from the 30 rounds of the last 30 days"
    assert history[1].rounds == 31


def test_another_runtime_is_another_canary_at_once() -> None:
    before, after = rounds(*[100] * 20), rounds(*[140] * 3, start_s=HOUR_S, basis=NEW)
    history = epochs([*before, *after])
    assert told(history) == [("first contact", 100, False, 20), ("another canary", 140, True, 3)]
    assert history[1].detail == "runtime onnxruntime 1.31 -> onnxruntime 1.32"
    assert current(history, NEW, 2 * HOUR_S).provisional
    established = epochs([*before, *rounds(*[140] * 20, start_s=HOUR_S, basis=NEW)])
    assert not current(established, NEW, 2 * HOUR_S).provisional
    assert current(established, NEW, 2 * HOUR_S).reference_ns == 140


def test_a_canary_that_comes_back_goes_on_where_it_was() -> None:
    history = epochs([*rounds(*[100] * 20), *rounds(*[140] * 3, start_s=HOUR_S, basis=NEW), *rounds(101, start_s=2 * HOUR_S)])
    assert told(history) == [("first contact", 100, False, 21), ("another canary", 140, True, 3)]


def test_a_month_without_a_round_ages_out() -> None:
    later_s = HORIZON_S + 30 * 60
    assert current(epochs(rounds(*[100] * 20)), OLD, later_s).reference_ns is None
    history = epochs([*rounds(*[100] * 20), *rounds(*[104] * 4, start_s=later_s)])
    assert told(history) == [("first contact", 100, False, 20), ("aged out", 104, True, 4)]
    assert history[1].detail == "no round for 30 days"


def test_after_a_month_of_rounds_the_reference_is_renewed_without_a_pause() -> None:
    drifting = [1000 + n // 10 for n in range(800)]  # 8 % in 33 days: no step that a gate would see
    history = epochs(rounds(*drifting, every_s=HOUR_S))
    assert [epoch.why for epoch in history] == ["first contact", "aged out"]
    assert not history[1].provisional
    assert 1000 < (history[0].reference_ns or 0) + 20 < (history[1].reference_ns or 0)
    assert history[1].since_s > HORIZON_S


def test_a_level_that_rose_for_good_is_based_anew_openly_and_proven_by_a_day() -> None:
    before = [100, 101, 99, 100] * 5
    after_s = 20 * 60.0
    history = epochs(rounds(*before, *[140, 141] * 20))
    assert told(history) == [("first contact", 100, False, 20), ("slower", 140, True, 40)]
    assert history[1].since_s == after_s
    assert history[1].detail == "31 rounds over 30 min 40 % above 100 ns, none near it"
    a_day = int(SLOWER_PROVEN_S / 60) + 1
    assert told(epochs(rounds(*before, *[140] * a_day)))[1] == ("slower", 140, False, a_day)


@pytest.mark.parametrize(
    "after",
    [
        [140] * 30,  # not long enough
        [*[140] * 25, 105] * 4,  # it comes back to what it was
        [111] * 200,  # within the gate
        list(range(120, 2000, 10)),  # no level at all
    ],
)
def test_what_is_no_other_canary_leaves_the_reference(after: list[int]) -> None:
    history = epochs(rounds(*[100] * 20, *after))
    assert told(history) == [("first contact", 100, False, 20 + len(after))]


def test_few_rounds_are_not_for_good_however_long_they_take() -> None:
    assert len(epochs([*rounds(*[100] * 20), *rounds(*[140] * 15, start_s=HOUR_S, every_s=HOUR_S)])) == 1


def test_a_faster_speed_reaches_back() -> None:
    """The machine was slow for the first ten minutes: what was measured then is not what the device can do."""
    history = epochs(rounds(*[150] * 20, *[100] * 20))
    assert told(history) == [("first contact", 150, False, 20), ("faster", 100, False, 20)]
    assert history[1].detail == "3 of 3 rounds 33 % below 150 ns"
    for at_s in (0.0, 600.0, 20 * 60.0, 40 * 60.0):
        assert judging(history, OLD, at_s).reference_ns == 100
    assert judging(history, OLD, -5.0).reference_ns is None


def test_two_lucky_rounds_in_thirty_are_no_faster_speed() -> None:
    assert len(epochs(rounds(*[100] * 20, *[80, 81, *[100] * 30] * 5))) == 1
    assert len(epochs(rounds(*[100] * 20, 80, 70, 60, *[100] * 30))) == 1


def test_a_load_that_was_taken_for_the_device_is_taken_back() -> None:
    history = epochs(rounds(*[100] * 20, *[140] * 200, *[100] * 20))
    assert told(history) == [("first contact", 100, False, 20), ("slower", 140, True, 200), ("faster", 100, False, 20)]
    assert judging(history, OLD, 100 * 60.0).reference_ns == 100
    assert judging(history, OLD, 5 * 60.0).reference_ns == 100


def test_runs_are_judged_by_their_own_epoch() -> None:
    history = epochs(rounds(*[100] * 20, *[140] * 200))
    assert judging(history, OLD, 19 * 60.0).reference_ns == 100
    assert judging(history, OLD, 20 * 60.0).reference_ns == 140
    assert judging(history, NEW, 20 * 60.0).reference_ns is None
    assert not judging(history, OLD, 19 * 60.0).provisional
    assert judging(history, OLD, 20 * 60.0).provisional


@pytest.mark.parametrize(
    ("levels_ns", "reference_ns", "ratio"),
    [
        ([100] * 10, 100, 1.0),
        ([100, 100, 140, 150, 145, 141], 100, 1.4),
        ([140, 150, 105, 141], 100, 1.05),
        ([60, 70, 65, 60], 100, 0.7),
        ([90, 108, 120, 130], 100, 1.08),
    ],
)
def test_how_far_the_newest_rounds_all_are(levels_ns: list[int], reference_ns: int, ratio: float) -> None:
    found = recent(rounds(*levels_ns, every_s=30.0), reference_ns)
    assert found is not None
    assert (found.ratio, found.rounds, found.span_s) == (pytest.approx(ratio), 4, 90.0)


def test_a_moment_says_nothing_of_the_newest_rounds() -> None:
    assert recent(rounds(*[140] * 50, every_s=1.0), 100) is None
    assert recent(rounds(*[140] * 3), 100) is None
    assert recent(rounds(*[140] * 9), None) is None
    assert recent([*rounds(*[140] * 9), *rounds(*[100] * 3, start_s=HOUR_S, basis=NEW)], 100) is None
    assert recent([], 100) is None


level = st.sampled_from([100, 101, 103, 113, 140, 142, 71])
moments = st.lists(
    st.tuples(st.sampled_from([1.0, 60.0, 600.0, 86_400.0, 31 * 86_400.0]), level, st.sampled_from([OLD, NEW])), max_size=120
)


def placed(steps: list[tuple[float, int, Basis]]) -> list[CanaryRound]:
    at_s, found = 0.0, list[CanaryRound]()
    for step_s, level_ns, basis in steps:
        at_s += step_s
        found.append(CanaryRound(at_s, level_ns, idle=True, basis=basis))
    return found


@given(moments, st.randoms(use_true_random=False))
def test_every_round_belongs_to_epochs_that_follow_each_other(steps: list[tuple[float, int, Basis]], dice: Random) -> None:
    ordered = placed(steps)
    history = epochs(ordered)
    shuffled = list(ordered)
    dice.shuffle(shuffled)
    assert epochs(shuffled) == history
    for basis in (OLD, NEW):
        mine = [epoch for epoch in history if epoch.basis == basis]
        levels = [one.level_ns for one in ordered if one.basis == basis]
        # A renewed reference rests on rounds of the epoch before it, too.
        assert sum(epoch.rounds for epoch in mine) >= len(levels)
        assert [epoch.since_s for epoch in mine] == sorted({epoch.since_s for epoch in mine})
        for epoch in mine:
            assert epoch.since_s <= epoch.until_s
            assert epoch.reference_ns is None or min(levels) <= epoch.reference_ns <= max(levels)
        for one in (one for one in ordered if one.basis == basis):
            own = [epoch for epoch in mine if epoch.since_s <= one.at_s][-1]
            known = judging(history, basis, one.at_s).reference_ns
            assert (known is None) == (own.reference_ns is None)
            assert known is None or known <= (own.reference_ns or 0)


@given(moments, st.integers(0, 120))
def test_a_later_round_never_changes_what_an_established_reference_was(steps: list[tuple[float, int, Basis]], cut: int) -> None:
    """But for its end; and what it is judged by can only fall."""
    early, late = epochs(placed(steps)[:cut]), epochs(placed(steps))
    for epoch in early:
        if not epoch.provisional:
            now = next(e for e in late if e.since_s == epoch.since_s and e.basis == epoch.basis)
            assert (now.reference_ns, now.why) == (epoch.reference_ns, epoch.why)


@given(st.lists(st.integers(97, 103), min_size=16, max_size=60), st.lists(st.integers(97, 103), max_size=60))
def test_a_calm_device_is_never_based_anew(first: list[int], more: list[int]) -> None:
    history = epochs(rounds(*first, *more))
    assert [epoch.why for epoch in history] == ["first contact"]
    assert history[0].provisional is False


def test_a_faster_speed_judges_no_more_than_a_month_of_what_came_before_it() -> None:
    """Before that the device was another one, as far as anybody can tell."""
    slow = Epoch(0.0, 1.0, 140, False, 20, "first contact", "", OLD)
    fast = Epoch(3 * HORIZON_S, 9e9, 100, False, 20, "faster", "", OLD)
    history = (slow, fast)
    assert judging(history, OLD, 2 * HORIZON_S - 1.0).reference_ns == 140
    assert judging(history, OLD, 2 * HORIZON_S + 1.0).reference_ns == 100
    assert judging(history, OLD, 3 * HORIZON_S + 1.0).reference_ns == 100


def test_a_round_without_a_level_is_passed_over_and_those_behind_it_count() -> None:
    whole = rounds(*[100] * 40)
    lost = CanaryRound(whole[5].at_s + 1.0, 0, idle=True, basis=OLD)
    assert epochs([*whole, lost]) == epochs(whole)
