"""What a device takes, by the sensor that its profile names; read before and after a round, never while it samples."""

from __future__ import annotations

import re
from dataclasses import replace

from lutfarm_agents.transports.interface import Transport
from lutfarm_jobs.run import Environment
from lutfarm_profiles.power_and_thermal import PowerSensor

WATTS = {"uW": 1e-6, "mW": 1e-3, "W": 1.0}
MOST_W = 100_000.0  # a sensor that says more is broken, or measures something else
NUMBER = r"[-+]?\d{1,15}(\.\d{1,9})?"


class Power:
    """The power sensor of one device.  Says nothing where its profile names none."""

    def __init__(self, transport: Transport, sensor: PowerSensor | None) -> None:
        self._transport = transport
        self._sensor = sensor

    def read_w(self) -> float | None:
        """Watts at the moment; None where they can't be read.  Raises LinkError."""
        if self._sensor is None:
            return None
        done = self._transport.run(["head", "-c", "64", self._sensor.path])
        return parse(done.stdout.decode("utf-8", "replace"), self._sensor)


def parse(text: str, sensor: PowerSensor) -> float | None:
    """From the file's first line; None where that is no number, or no power."""
    found = re.fullmatch(NUMBER, text.strip())
    watts = float(found[0]) * WATTS[sensor.unit] if found else None
    return watts if watts is not None and abs(watts) <= MOST_W else None


def with_power(moment: Environment | None, power_w: float | None) -> Environment | None:
    """The environment with what the device took then."""
    return moment if moment is None or power_w is None else replace(moment, power_w=power_w)
