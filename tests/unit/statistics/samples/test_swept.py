"""What canaries on both sides of long iterations say of what lay between, and whole sweeps on simulated busy machines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.lut_kit import REFERENCE_NS, piece, run
from tests.sweep_kit import Swept, swept

from lutfarm.statistics import sample, summarize
from lutfarm.statistics.estimates.flags import BUSY
from lutfarm.statistics.samples.swept import hidden_slowdown, visits
from lutfarm_agents.testing import Contended, Neighbour, TwoStates
from lutfarm_jobs.run import Slice

LOUD_NS = round(1.5 * REFERENCE_NS)


def long(*, before: bool = True, after: bool = True, waited_ns: int = 0, ns: int = 10**7) -> Slice:
    """One iteration; `before` and `after`: whether the canary was calm."""
    one = piece(ns, gated=False, quiet=before and after)
    levels = [REFERENCE_NS if calm else LOUD_NS for calm in (before, after)]
    return replace(one, canary_before_ns=levels[0], canary_after_ns=levels[1], waited_ns=waited_ns)


def test_a_visit_counts_once_however_often_it_was_tried() -> None:
    tries = [replace(long(after=False), pass_index=0), replace(long(), pass_index=0), replace(long(after=False), pass_index=1)]
    assert (visits(tries).made, visits(tries).quiet, visits(tries).share) == (2, 1, 0.5)
    assert visits([]).share == 0.0


def test_canaries_that_are_always_calm_hide_nothing() -> None:
    assert hidden_slowdown([run(*[long()] * 12)], 1e7) == 0.0


def hidden(slices: Sequence[Slice]) -> float:
    return hidden_slowdown([run(*slices)], 1e7)


def test_states_that_outlast_an_iteration_hide_little_and_those_that_are_short_most() -> None:
    """A fifth of the iterations that began calm ended loud: that fifth is the most that can be hidden in the others."""
    ending = [long(after=False, ns=12 * 10**6)] * 3
    slow = hidden([*[long()] * 9, *ending, *[long(waited_ns=40_000_000)] * 3])
    quick = hidden([*[long()] * 9, *ending, *[long(waited_ns=300_000)] * 3])
    unknown = hidden([*[long()] * 12, *ending])
    assert 0 < slow < 0.02
    assert quick > 0.1 > 5 * slow
    assert unknown == pytest.approx(3 / 15 * (1.15 * 1.5 - 1))
    assert quick <= 3 / 15 * (1.15 * 1.5 - 1)


def test_without_a_reference_nothing_is_known_to_be_hidden() -> None:
    assert hidden_slowdown([run(long(after=False), long(), reference_ns=None)], 1e7) == 0.0


def test_a_process_with_few_quiet_visits_does_not_count_beside_others() -> None:
    good = [run(*[long()] * 12, number=n) for n in range(3)]
    poor = run(*[long(after=False, ns=3 * 10**7)] * 11, long(ns=2 * 10**7), number=3)
    found = sample([*good, poor])
    assert found is not None
    assert found.estimates == (1e7, 1e7, 1e7)
    assert found.runs_left_out == 1
    alone = sample([poor])
    assert alone is not None
    assert alone.estimates == (2e7,)
    assert {"contended"} <= set(summarize(alone).flags)


def test_without_any_quiet_iteration_the_interval_reaches_to_where_the_truth_may_be() -> None:
    slices = [long(before=False, after=False, ns=ns) for ns in (14_000_000, 15_000_000, 16_000_000, 20_000_000)]
    found = sample([run(*slices, number=n) for n in range(4)])
    assert found is not None
    assert found.statistic == "p25_contended"
    summary = summarize(found)
    assert {"no_quiet_window", "contended", "not_precise"} <= set(summary.flags)
    assert summary.interval.low <= 14_000_000 / 1.5
    assert summary.interval.high >= 20_000_000


def test_what_can_be_hidden_widens_the_interval_downwards() -> None:
    noisy = [*[long()] * 9, *[long(after=False)] * 3, *[long(waited_ns=300_000)] * 3]
    found = sample([run(*noisy, number=n) for n in range(4)])
    assert found is not None
    bare = summarize(replace(found, hidden=0.0)).interval
    told = summarize(found).interval
    assert told.low == pytest.approx(bare.low / (1 + found.hidden))
    assert told.high == bare.high
    assert "contended" in summarize(found).flags


def told(found: Sequence[Swept]) -> tuple[list[Swept], float]:
    """The networks that are not flagged, and the share that is."""
    good = [one for one in found if BUSY.isdisjoint(one.flags)]
    return good, 1 - len(good) / len(found)


def test_on_a_quiet_machine_no_network_is_flagged() -> None:
    good, flagged = told(swept(seed=1))
    assert flagged == 0
    assert all(abs(one.error) < 0.03 for one in good)
    assert sum(one.covered for one in good) >= 0.8 * len(good)


def test_with_no_quiet_window_every_network_is_flagged_and_its_interval_holds_the_truth() -> None:
    found = swept(Contended(), seed=2)
    assert told(found)[1] == 1
    assert all({"no_quiet_window", "contended"} <= set(one.flags) for one in found)
    assert all(one.covered for one in found)


@pytest.mark.parametrize(
    "noise",
    [
        TwoStates(),
        TwoStates(1.5, 1.5, (0.03,), (0.03,)),
        TwoStates(1.5, 1.5, (0.1,), (0.1,)),
        TwoStates(1.4, 1.5, (1.0,), (1.0,)),
        Neighbour(1.3, 1.2, 0.06, 0.06, 0.02, 0.003),
        Neighbour(1.1, 1.05, 0.06, 0.06, 0.004, 0.004),  # on its own core: the canary hardly sees it
    ],
    ids=["many speeds", "30 ms", "100 ms", "a second", "a neighbour", "a neighbour on its core"],
)
def test_a_machine_with_quiet_windows_gives_the_quiet_latency_or_says_that_it_does_not(noise: TwoStates | Neighbour) -> None:
    good, _ = told(swept(noise, seed=3))
    assert all(abs(one.error) < 0.03 for one in good)
    assert sum(one.covered for one in good) >= 0.8 * len(good)


@pytest.mark.parametrize("sojourn_s", [0.001, 0.003])
def test_a_machine_that_changes_faster_than_an_iteration_is_flagged(sojourn_s: float) -> None:
    found = swept(TwoStates(1.5, 1.5, (sojourn_s,), (sojourn_s,)), seed=4)
    good, flagged = told(found)
    assert flagged > 0.8
    assert all(abs(one.error) < 0.03 for one in good)
    assert all(one.covered for one in found)


def test_one_process_that_was_slow_throughout_moves_no_network() -> None:
    calm, held = swept(seed=5), swept(seed=5, slow={3: 4.0})
    for one, other in zip(calm, held, strict=True):
        assert other.estimate == pytest.approx(one.estimate, rel=0.02)
        assert math.isfinite(other.high)
        assert BUSY.isdisjoint(other.flags)
