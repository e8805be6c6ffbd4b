"""What a demonstration has time for, and how loaded the machine is."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from lutfarm.demo.time_budget import CALIBRATE, FEWEST, NETWORKS, Clock
from lutfarm.execution.host_load import Load, pressure_of
from lutfarm.lut.verdict import LEAST_CALIBRATION

QUIET, BUSY = Load(2, 0.03), Load(2, 2.0, queue=3.0, pressure=0.45)


@pytest.mark.parametrize("load", [QUIET, BUSY, Load(1, 1.0, queue=20.0)])
@pytest.mark.parametrize("minutes", [0.5, 1.0, 3.0, 60.0])
def test_measuring_ends_before_the_time_is_over_and_networks_get_their_share(minutes: float, load: Load) -> None:
    clock = Clock(1000.0, minutes, load)
    assert 1000.0 + 0.8 * 60 * minutes <= clock.closing_s < 1000.0 + 60 * minutes
    assert clock.operators_until_s(1005.0) <= clock.closing_s
    for now_s in (1005.0, clock.closing_s - 1, clock.closing_s + 50):
        assert clock.operators_until_s(now_s) <= max(now_s, clock.closing_s)


def test_on_a_loaded_machine_more_is_kept_for_closing_and_fewer_networks_are_drawn() -> None:
    quiet, busy = Clock(0.0, 3.0, QUIET), Clock(0.0, 3.0, BUSY)
    assert busy.closing_s < quiet.closing_s
    assert quiet.networks(60.0) == (NETWORKS, CALIBRATE)
    assert sum(busy.networks(60.0)) < NETWORKS + CALIBRATE


def test_operators_have_all_the_time_where_there_is_none_for_networks() -> None:
    starved = Clock(0.0, 3.0, Load(2, 2.0, queue=13.0))
    assert starved.operators_until_s(20.0) == starved.closing_s
    quiet = Clock(0.0, 3.0, QUIET)
    assert quiet.operators_until_s(20.0) == pytest.approx(20 + 0.55 * (quiet.closing_s - 20))


def test_what_was_measured_says_how_many_networks_there_is_time_for_and_not_what_waits() -> None:
    """78 s were left, and the load average said that nothing more could be measured: the demonstration's own processes."""
    waits = Clock(0.0, 3.0, Load(2, 2.0, queue=13.0, pressure=0.5))
    left_78_s = waits.closing_s - 78
    assert waits.networks(left_78_s) == (0, 0)
    assert replace(waits, pace=2.0).networks(left_78_s)[0] >= FEWEST
    assert replace(waits, pace=1.0).networks(left_78_s) == replace(waits, pace=0.5).networks(left_78_s)
    counts = [sum(replace(waits, pace=pace).networks(left_78_s)) for pace in (1.0, 1.5, 2.0, 3.0, 5.0)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 0


@pytest.mark.parametrize(("left_s", "pace", "said"), [(30, 2.0, "30 s are left; .* 48 s"), (-5, 1.0, "0 s are left; .* 24 s")])
def test_why_there_is_no_time_is_said_in_seconds(left_s: int, pace: float, said: str) -> None:
    clock = Clock(0.0, 3.0, QUIET, pace)
    assert clock.networks(clock.closing_s - left_s)[0] < FEWEST
    assert re.search(said, clock.no_time(clock.closing_s - left_s))


@pytest.mark.parametrize("load", [QUIET, BUSY])
def test_a_calibration_has_five_networks_or_none_and_time_that_is_over_has_none(load: Load) -> None:
    clock = Clock(0.0, 3.0, load)
    seen = [clock.networks(float(now_s)) for now_s in range(250)]
    assert seen[-1] == (0, 0)
    assert all(calibrate == 0 or calibrate >= LEAST_CALIBRATION for _, calibrate in seen)
    assert all(networks >= FEWEST for networks, calibrate in seen if calibrate)
    rooms = [networks + calibrate for networks, calibrate in seen]
    assert all(0 <= one <= NETWORKS + CALIBRATE for one in rooms)


def test_load_is_what_others_take_and_what_waits() -> None:
    assert not QUIET.loaded
    assert QUIET.slowdown == 1.0
    assert BUSY.loaded
    assert BUSY.slowdown == 1.5
    assert Load(8, 0.0, pressure=0.3).loaded
    assert Load(4, 1.0).slowdown == 1.0
    assert BUSY.describe() == "other programs take 2.0 of its 2 cores, and in 45 % of the time something waits for one"
    assert QUIET.describe() == "other programs take 0.0 of its 2 cores"


@pytest.mark.parametrize(
    ("text", "pressure"),
    [
        ("some avg10=12.50 avg60=3.00 avg300=1.00 total=1234\nfull avg10=99.00 avg60=0 avg300=0 total=0\n", 0.125),
        ("some avg10=0.00 avg60=0.00", 0.0),
        ("", None),
        ("some avg10=x", None),
        ("avg60=3", None),
    ],
)
def test_the_kernels_pressure_is_read_where_it_says_one(text: str, pressure: float | None) -> None:
    assert pressure_of(text) == pressure
