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


def test_an_interval_may_be_known_on_one_side_alone() -> None:
    found = validation(1)
    half = replace(found.networks[0], predicted_low=None, measured_high=None)
    (spot,) = plain_spots(replace(found, networks=(half,), coverage=None))
    assert spot.predicted_bounds == (spot.predicted, half.predicted_high)
    assert spot.measured_bounds == (half.measured_low, spot.measured)


def test_each_spot_has_the_numbers_of_its_network() -> None:
    found = validation(3, calibrated=True)
    for network, plain, mended in zip(found.networks, plain_spots(found), calibrated_spots(found), strict=True):
        assert (plain.predicted, mended.predicted) == (network.predicted, network.calibrated)
        assert plain.predicted_bounds == (network.predicted_low, network.predicted_high)
        assert mended.predicted_bounds == (network.calibrated_low, network.calibrated_high)
        assert plain.measured == mended.measured == network.measured
        assert plain.measured_bounds == mended.measured_bounds == (network.measured_low, network.measured_high)


def test_networks_of_another_role_are_no_spots() -> None:
    found = validation(2)
    others = tuple(replace(found.networks[0], arch=role, role=role) for role in ("calibration", "anchor"))
    assert plain_spots(replace(found, networks=(*found.networks, *others))) == plain_spots(found)


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
