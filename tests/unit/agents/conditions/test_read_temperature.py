"""What decides how hot a device is, of zones that real devices have."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm_agents.conditions import read_temperature
from lutfarm_agents.conditions.read_temperature import Reading, seen_by
from lutfarm_agents.discovery import shell_hello
from lutfarm_agents.health.findings import HealthLimits, hello_findings
from lutfarm_agents.testing import HELLO, REAL
from lutfarm_jobs.run import Environment
from lutfarm_profiles.power_and_thermal import Thermal
from lutfarm_runner.machine.zones import Movement, celsius, hottest, is_cpu

WATCHED = Thermal(limit_c=60, resume_c=45)


def said(name: str) -> str:
    return "".join(f"zone {reading} {kind}\n" for kind, reading in REAL[name].zones)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (38000, 38.0),
        (309, 30.9),
        (31, 31.0),
        (-5000, -5.0),
        (95000, 95.0),
        (105, 105.0),
        (1000, 1.0),
        (0, None),
        (125000, None),
        (125, None),
        (-40000, None),
        (-40, None),
        (-127000, None),
        (-274000, None),
        (9_999_999, None),
    ],
)
def test_a_reading_in_whatever_unit(raw: int, value: float | None) -> None:
    assert celsius(raw) == value


@pytest.mark.parametrize(
    ("name", "value", "zone"),
    [
        ("pixel-6", 41.0, "BIG"),
        ("msm8953", 32.2, "tsens_tz_sensor8"),
        ("fire-hd", 38.0, "mtktspmic"),  # the processor's own zone says nothing just now
        ("rk3588", 42.538, "soc-thermal"),
        ("jh7110", 48.0, "cpu-thermal"),
        ("intel-hybrid", 52.0, "x86_pkg_temp"),  # not the radio, which is hotter
        ("ryzen-preferred", 16.8, "acpitz"),
    ],
)
def test_the_processors_zones_decide(name: str, value: float, zone: str) -> None:
    for found in (shell_hello.parse(said(name), 0.0), read_temperature.parse(said(name), WATCHED)):
        assert found.temperature_c == value
        assert (found.zone if isinstance(found, Reading) else found.temperature_zone) == zone


def test_an_idle_tablet_with_a_parked_sensor_is_fit_and_starts() -> None:
    idle = shell_hello.parse("zone 0\nzone 125000\nzone -127000\nzone 38000", 0.0)
    assert idle.temperature_c == 38.0
    hello = replace(HELLO, environment=idle)
    assert next(f for f in hello_findings(hello, HealthLimits()) if f.name == "temperature").severity == "ok"
    assert (read_temperature.parse(said("fire-hd"), WATCHED).temperature_c or 0) < WATCHED.limit_c


def test_zones_that_a_profile_names_decide_whatever_they_are() -> None:
    named = Thermal(zones=("battery", "pa_therm1"), limit_c=60, resume_c=45)
    assert read_temperature.parse(said("pixel-6"), named) == Reading(30.1, zone="battery")
    assert read_temperature.parse("zone 125000 battery\n", named) == Reading()


@pytest.mark.parametrize(
    "kind",
    [
        "cpu-0-0-usr",
        "cpu_thermal",
        "CPU-therm",
        "mtktscpu",
        "tsens_tz_sensor10",
        "cpuss-1",
        "apc1-cpu0-usr",
        "BIG",
        "bigcore0-thermal",
    ],
)
def test_a_processors_zone_by_its_type(kind: str) -> None:
    assert is_cpu(kind)


@pytest.mark.parametrize(
    "kind", ["battery", "pa_therm0", "quiet-therm-adc", "gpuss-0", "pm8150_tz", "iwlwifi_1", "xo-therm", "", "skin-msm-therm"]
)
def test_what_is_no_processors_zone(kind: str) -> None:
    assert not is_cpu(kind)


def test_a_zone_that_never_moves_while_another_does_is_parked() -> None:
    movement = Movement()
    looks = [[("cpu-thermal", 40_000 + 100 * n), ("cpu-spare", 95_000)] for n in range(5)]
    parked = [movement.look(look) for look in looks]
    assert list(map(sorted, parked)) == [[], [], [], ["cpu-spare"], ["cpu-spare"]]
    assert hottest(looks[0]) == (95.0, "cpu-spare")
    assert hottest(looks[4], None, parked[4]) == (40.4, "cpu-thermal")
    still = Movement()
    assert not any(still.look([("cpu", 40_000), ("other", 95_000)]) for _ in range(9))


def test_zones_of_one_type_that_stand_still_at_several_values_have_not_moved() -> None:
    movement = Movement()
    look = [("cpu", 40_000 + n) for n in range(6)] + [("tsens", 95_000)]
    assert not any(movement.look(look) for _ in range(9))


def test_a_processor_whose_only_zone_stands_still_is_believed_though_a_battery_moves() -> None:
    movement = Movement()
    assert not any(movement.look([("cpu-thermal", 95), ("battery", 30_000 + n)]) for n in range(9))


def test_the_finding_names_the_zone_and_how_to_leave_it_out() -> None:
    hot = Environment(0.0, temperature_c=95.0, temperature_zone="cpu-board")
    hello = replace(HELLO, environment=hot)
    found = next(f for f in hello_findings(hello, HealthLimits()) if f.name == "temperature")
    assert found.severity == "fail"
    assert "zone cpu-board: 95.0 C is above 90.0 C" in found.why
    assert "thermal.zones" in found.what_to_do
    other = next(f for f in hello_findings(hello, HealthLimits(zones=("cpu-thermal",))) if f.name == "temperature")
    assert other.severity == "ok"
    assert "its profile does not watch" in other.why


def test_an_environment_has_the_temperature_of_the_zones_that_its_profile_watches() -> None:
    moment = Environment(0.0, temperature_c=95.0, temperature_zone="cpu-board")
    cooler = Environment(0.0, temperature_c=40.0, temperature_zone="cpu-thermal")
    assert seen_by(moment, Reading(40.0, zone="cpu-thermal")) == cooler
    assert seen_by(moment, Reading()) is moment
    assert seen_by(None, Reading(40.0)) is None


@given(st.lists(st.tuples(st.text(max_size=20), st.integers(-(10**8), 10**8)), max_size=20))
def test_whatever_is_read_it_is_a_temperature_or_none(readings: list[tuple[str, int]]) -> None:
    found = hottest(readings)
    assert found is None or -30 < found.celsius < 150
