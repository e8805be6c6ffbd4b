from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from tests.report_kit import failing, validation

from lutfarm.lut.grades import DISTURBED, PROVISIONAL, grade_of
from lutfarm.report.rows import Spot, calibrated_spots, plain_spots


def test_an_error_is_relative_to_what_was_measured() -> None:
    assert Spot(110, 100, (1, 1), (1, 1)).relative_error == pytest.approx(0.1)
    assert Spot(180, 200, (1, 1), (1, 1)).relative_error == pytest.approx(-0.1)


def test_a_network_without_intervals_has_points_for_bounds() -> None:
    found = validation(1)
    bare = replace(found.networks[0], predicted_low=None, predicted_high=None, measured_low=None, measured_high=None)
    (spot,) = plain_spots(replace(found, networks=(bare,), coverage=None))
    assert spot.predicted_bounds == (spot.predicted, spot.predicted)
    assert spot.measured_bounds == (spot.measured, spot.measured)


def test_only_what_could_be_held_against_the_table_is_a_spot() -> None:
    found = failing(validation(3, calibrated=True), "OutOfMemory: 40 GB")
    assert len(plain_spots(found)) == len(calibrated_spots(found)) == 3
    assert calibrated_spots(validation(3)) == []


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
