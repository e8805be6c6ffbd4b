"""Which share of the spread all entries of a process have in common: simulated truths in, shares out."""

from __future__ import annotations

import numpy as np
import pytest

from lutfarm.statistics.intervals.common_shift import LEAST_ENTRIES, LEAST_ROUNDS, common_share

Levels = list[tuple[str, float]]


def table(share: float, *, entries: int = 40, rounds: int = 6, seed: int = 0) -> tuple[list[Levels], list[float]]:
    """Entries of a spread of 1 %, with `share` of their variance in common; some have two processes, the others all."""
    rng = np.random.default_rng(seed)
    common = rng.normal(0, 0.01 * np.sqrt(share), rounds)
    made: list[Levels] = []
    for number in range(entries):
        logs = common + rng.normal(0, 0.01 * np.sqrt(1 - share), rounds)
        mine = range(rounds) if number % 2 else rng.choice(rounds, 2, replace=False)
        made.append([(f"r{at}", 1e5 * float(np.exp(logs[at]))) for at in mine])
    return made, [0.01] * entries


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_share_is_found_on_average_though_entries_have_unequal_numbers_of_processes(share: float) -> None:
    """A residual from the mean of two values has half of the variance, from the mean of six five sixths."""
    found = [common_share(*table(share, seed=seed)) for seed in range(200)]
    assert np.mean(found) == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize(("entries", "rounds"), [(LEAST_ENTRIES - 1, 6), (40, LEAST_ROUNDS - 1)])
def test_what_cannot_be_told_is_the_widest(entries: int, rounds: int) -> None:
    made, spreads = table(0.0, entries=entries, rounds=rounds)
    assert common_share(made, spreads) == 1.0


def test_entries_of_one_process_say_nothing() -> None:
    made, spreads = table(0.5)
    alone = [[(f"r{number}", 1e5)] for number in range(9)]
    assert common_share([*made, *alone], [*spreads, *[0.01] * 9]) == common_share(made, spreads)
