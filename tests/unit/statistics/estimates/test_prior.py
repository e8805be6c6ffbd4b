"""What entries know of each other's spread between processes, and whether the intervals that follow cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.lut_kit import piece, run

from lutfarm.statistics import Prior, Sample, moderated_interval, priors_of, sample, summarize
from lutfarm.statistics.estimates.summary import MOST_SLOWER_THAN_CANARY
from lutfarm.statistics.intervals.interval import DEFAULT_SPREAD, PRIOR_DF

TRUE_NS = 1_000_000


def entries(logs: np.ndarray) -> list[Sample]:
    """From logarithmic errors, shape (processes, entries)."""
    made = [sample([run(piece(round(TRUE_NS * math.exp(log))), number=n) for n, log in enumerate(column)]) for column in logs.T]
    return [one for one in made if one is not None]


def covers(one: Sample, prior: Prior) -> bool:
    found = moderated_interval(one.estimates, prior_spread=prior.spread, prior_df=prior.df)
    return found.low <= TRUE_NS <= found.high


def test_too_few_others_are_no_prior() -> None:
    rng = np.random.default_rng(1)
    assert priors_of(entries(rng.normal(0, 0.01, (4, 1)))) == [Prior(DEFAULT_SPREAD, 0.0)]
    assert [prior.df for prior in priors_of(entries(rng.normal(0, 0.01, (4, 5))))] == [0.0] * 5
    assert [prior.df for prior in priors_of(entries(rng.normal(0, 0.01, (4, 6))))] == [PRIOR_DF] * 6


def test_the_share_of_two_processes_cant_be_told() -> None:
    together = np.repeat([[0.01], [-0.01]], 8, axis=1)
    assert [prior.df for prior in priors_of(entries(together))] == [PRIOR_DF] * 8


def test_entries_that_move_as_one_know_nothing_of_each_other() -> None:
    together = np.repeat(np.random.default_rng(2).normal(0, 0.01, (5, 1)), 8, axis=1)
    assert all(prior.df < 0.1 for prior in priors_of(entries(together)))


def test_a_share_of_a_half_leaves_the_prior_its_weight() -> None:
    rng = np.random.default_rng(3)
    logs = rng.normal(0, 0.01, (12, 1)) + rng.normal(0, 0.01, (12, 30))
    assert [prior.df for prior in priors_of(entries(logs))] == [PRIOR_DF] * 30


@pytest.mark.parametrize(("shared", "count"), [(0.0, 20), (0.5, 20), (1.0, 20), (0.5, 1)])
@pytest.mark.parametrize("spread", [0.003, 0.03])
def test_intervals_cover_whatever_is_shared(shared: float, count: int, spread: float) -> None:
    rng = np.random.default_rng(4)
    tables, shares = 40 if count > 1 else 400, list[float]()
    for _ in range(tables):
        logs = spread * (math.sqrt(shared) * rng.normal(size=(5, 1)) + math.sqrt(1 - shared) * rng.normal(size=(5, count)))
        found = entries(logs)
        shares.append(float(np.mean([covers(one, prior) for one, prior in zip(found, priors_of(found), strict=True)])))
    error = max(float(np.std(shares)), math.sqrt(0.95 * 0.05 / count)) / math.sqrt(tables)
    assert abs(float(np.mean(shares)) - 0.96) < 0.02 + 3 * error


def test_the_default_spread_with_three_degrees_would_not() -> None:
    rng = np.random.default_rng(5)
    found = [covers(one, Prior(DEFAULT_SPREAD, PRIOR_DF)) for one in entries(rng.normal(0, 0.05, (3, 1000)))]
    assert np.mean(found) < 0.92


def test_without_a_prior_it_is_students_t() -> None:
    found = moderated_interval([100.0, 102.0, 104.0], prior_df=0.0)
    logs = np.log([100.0, 102.0, 104.0])
    assert math.log(found.high / found.estimate) == pytest.approx(4.302653 * logs.std(ddof=1) / math.sqrt(3))


def test_one_process_has_the_prior_whatever_its_weight() -> None:
    assert moderated_interval([100.0], prior_df=0.0) == moderated_interval([100.0])


def test_equal_processes_without_a_prior_are_no_certainty() -> None:
    assert moderated_interval([100.0] * 4, prior_df=0.0).relative_half_width > 0.001


def test_a_contended_interval_reaches_down_by_what_the_canary_shows() -> None:
    found = sample([run(piece(150, 160, quiet=False, canary_ns=1400), number=n, rejected=9) for n in range(4)])
    assert found is not None
    interval = summarize(found).interval
    assert interval.low <= 150 / (1.4 * MOST_SLOWER_THAN_CANARY)
    assert interval.high >= 160


def test_an_entry_is_no_other_to_itself_and_one_of_a_single_process_is_none_to_anybody() -> None:
    rng = np.random.default_rng(1)
    five = entries(rng.normal(0, 0.01, (4, 5)))
    single = entries(rng.normal(0, 0.01, (1, 1)))
    assert [prior.df for prior in priors_of([*five, *single])] == [0.0] * 5 + [PRIOR_DF]
