from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm.report.rows import DISTURBED, PROVISIONAL, NetworkRow, accuracy, grade_of


def row(predicted: float, measured: float) -> NetworkRow:
    return NetworkRow("net", "desk", "onnxruntime-cpu-t1-fp32", predicted, measured)


def test_accuracy_of_known_errors() -> None:
    found = accuracy([row(110, 100), row(180, 200), row(330, 300)])

    assert found.n == 3
    assert found.mape == pytest.approx(0.1)
    assert found.bias == pytest.approx(0.1 / 3)
    assert found.worst == pytest.approx(0.1)
    assert found.tau == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("pairs", "tau"),
    [
        ([(1, 1)], None),
        ([(1, 1), (1, 2)], None),                  # all predictions are equal: there is no ranking
        ([(1, 2), (2, 1)], -1.0),
        ([(1, 1), (2, 3), (3, 2)], 1 / 3),
        ([(1, 1), (2, 2), (2, 3)], 2 / 6**0.5),    # tau-b: one tie among three pairs
    ],
)
def test_tau_says_how_well_the_ranking_is_kept(pairs: list[tuple[float, float]], tau: float | None) -> None:
    assert accuracy([row(*pair) for pair in pairs]).tau == (None if tau is None else pytest.approx(tau))


latencies = st.floats(min_value=1e3, max_value=1e9)


@given(st.lists(st.tuples(latencies, latencies), min_size=1, max_size=20), st.floats(min_value=0.1, max_value=10))
def test_accuracy_does_not_depend_on_the_unit_of_time(pairs: list[tuple[float, float]], factor: float) -> None:
    one = accuracy([row(*pair) for pair in pairs])
    other = accuracy([row(p * factor, m * factor) for p, m in pairs])

    assert other.mape == pytest.approx(one.mape, abs=1e-9)
    assert other.bias == pytest.approx(one.bias, abs=1e-9)
    assert abs(one.bias) <= one.mape + 1e-12
    assert one.mape <= one.worst + 1e-12


def test_a_row_without_intervals_has_points_for_bounds() -> None:
    assert row(5, 7).predicted_bounds_ns == (5, 5)
    assert row(5, 7).measured_bounds_ns == (7, 7)
    full = NetworkRow("n", "u", "b", 5, 7, 4, 6, 6.5, 7.5)
    assert full.predicted_bounds_ns == (4, 6)
    assert full.measured_bounds_ns == (6.5, 7.5)


@pytest.mark.parametrize(
    ("flags", "grade"),
    [
        (["converged"], "precise"),
        ([], "wide"),
        (["converged", "reference_provisional"], "provisional"),
        (["reference_provisional"], "wide"),
        (["converged", "preempted"], "disturbed"),
        (["no_quiet_window", "reference_provisional"], "disturbed"),
        (["converged", "a flag of tomorrow"], "precise"),
    ],
)
def test_the_worst_flag_gives_the_grade(flags: list[str], grade: str) -> None:
    assert grade_of(flags) == grade


def test_no_flag_makes_a_grade_better() -> None:
    order = ["precise", "provisional", "wide", "disturbed"]
    for count in range(3):
        for flags in itertools.combinations(sorted(DISTURBED | PROVISIONAL), count):
            for more in DISTURBED | PROVISIONAL:
                worse = grade_of(["converged", *flags, more])
                assert order.index(worse) >= order.index(grade_of(["converged", *flags]))
