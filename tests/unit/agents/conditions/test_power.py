"""What a power sensor says, in watts."""

from __future__ import annotations

import pytest

from lutfarm_agents.conditions.power import parse, with_power
from lutfarm_jobs.run import Environment
from lutfarm_profiles.power_and_thermal import PowerSensor


@pytest.mark.parametrize(
    ("text", "unit", "watts"),
    [
        ("4250000\n", "uW", 4.25),
        ("4250\n", "mW", 4.25),
        ("4.25\n", "W", 4.25),
        ("-1500", "mW", -1.5),
        ("0", "W", 0.0),
        ("", "W", None),
        ("nan", "W", None),
        ("1e9", "uW", None),
        ("999999999999999", "W", None),
        ("4 W", "W", None),
        ("<html>", "mW", None),
        ("4\n5", "W", None),
    ],
)
def test_a_sensors_number_is_checked_and_becomes_watts(text: str, unit: str, watts: float | None) -> None:
    found = parse(text, PowerSensor.model_validate({"path": "/sys/class/hwmon/hwmon0/power1_input", "unit": unit}))
    assert found == (None if watts is None else pytest.approx(watts))


def test_what_was_not_read_is_nothing_and_no_zero() -> None:
    moment = Environment(1.0, temperature_c=40.0)
    assert with_power(moment, None) == moment
    assert with_power(None, 4.0) is None
    found = with_power(moment, 4.0)
    assert found is not None
    assert (found.power_w, found.temperature_c) == (4.0, 40.0)
