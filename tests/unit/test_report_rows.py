from __future__ import annotations

import itertools

import pytest

from lutfarm.report.rows import DISTURBED, PROVISIONAL, NetworkRow, grade_of


def row(predicted: float, measured: float) -> NetworkRow:
    return NetworkRow("net", "desk", "onnxruntime-cpu-t1-fp32", predicted, measured)


def test_an_error_is_relative_to_what_was_measured() -> None:
    assert row(110, 100).relative_error == pytest.approx(0.1)
    assert row(180, 200).relative_error == pytest.approx(-0.1)


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
