"""Our percentiles are NumPy's, bit by bit."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lutfarm.statistics.samples.percentiles import linear, median_unbiased

VALUES = st.lists(st.floats(1.0, 1e12), min_size=1, max_size=200).map(lambda values: np.array(values, dtype=np.float64))
PERCENTS = st.sampled_from([0.0, 1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 100.0]) | st.floats(0.0, 100.0)


@given(VALUES, PERCENTS)
def test_the_median_unbiased_one_is_numpys(values: np.ndarray, percent: float) -> None:
    assert median_unbiased(values, percent) == float(np.percentile(values, percent, method="median_unbiased"))


@given(VALUES, st.lists(PERCENTS, min_size=1, max_size=4))
def test_the_usual_one_is_numpys(values: np.ndarray, percents: list[float]) -> None:
    assert linear(values, *percents) == tuple(float(value) for value in np.percentile(values, percents))


def test_a_percentile_changes_nothing_of_what_it_is_of() -> None:
    values = np.array([3.0, 1.0, 2.0])
    assert (linear(values, 50), median_unbiased(values, 50)) == ((2.0,), 2.0)
    assert values.tolist() == [3.0, 1.0, 2.0]
