"""How hot a device is and whether it throttles, by its own thermometers and counters; read between rounds only."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from lutfarm_agents.discovery.shell_hello import zones
from lutfarm_agents.sanitize import clean
from lutfarm_agents.transports.interface import Transport
from lutfarm_jobs.run import Environment
from lutfarm_profiles.power_and_thermal import Thermal
from lutfarm_runner.machine.zones import Movement
from lutfarm_runner.machine.zones import hottest as hottest_of

# $@: counters, then --, then flag files.  One fact a line.
SCRIPT = """for zone in /sys/class/thermal/thermal_zone*; do
    temp= kind=
    read -r temp 2>/dev/null <"$zone/temp" && read -r kind 2>/dev/null <"$zone/type"
    [ -z "$temp" ] || echo "zone $temp $kind"
done
what=counter
for file; do
    if [ "$file" = -- ]; then what=flags; continue; fi
    value=
    read -r value 2>/dev/null <"$file"
    echo "$what $value"
done
exit 0"""


@dataclass(frozen=True, slots=True)
class Reading:
    """One look; None where the device does not say."""

    temperature_c: float | None = None  # of the hottest watched zone
    events: int | None = None  # throttle counters, summed
    throttled_now: bool = False
    zone: str = ""  # its type


class Climate:
    """The thermometers of one device.  Does nothing where its profile watches none."""

    def __init__(self, transport: Transport, thermal: Thermal | None) -> None:
        self._transport = transport
        self._thermal = thermal
        self._movement = Movement()

    def read(self) -> Reading:
        """Some milliseconds of the device's time.  Raises LinkError."""
        thermal = self._thermal
        if thermal is None:
            return Reading()
        flags = [each.path for each in thermal.throttle_flags]
        done = self._transport.run(["sh", "-c", SCRIPT, "sh", *thermal.throttle_files, "--", *flags])
        text = done.stdout.decode("utf-8", "replace")
        return parse(text, thermal, parked=self._movement.look(zones(text)))

    def throttled(self, before: Reading, after: Reading) -> bool:
        """Whether the device slowed itself between two looks, as far as it says."""
        counted = before.events is not None and after.events is not None and after.events > before.events
        limit_c = self._thermal.limit_c if self._thermal else None
        hot = after.temperature_c is not None and limit_c is not None and after.temperature_c > limit_c
        return counted or hot or before.throttled_now or after.throttled_now


def seen_by(moment: Environment | None, reading: Reading) -> Environment | None:
    """The environment with the temperature of the zones that the profile watches, where it watches any."""
    if moment is None or reading.temperature_c is None:
        return moment
    return replace(moment, temperature_c=reading.temperature_c, temperature_zone=reading.zone or None)


def parse(text: str, thermal: Thermal, *, parked: Collection[str] = ()) -> Reading:
    """From what SCRIPT prints; what does not check is left out, and so are zones that are `parked` where none is named."""
    wanted = None if thermal.zones == "all" else thermal.zones
    hottest = hottest_of(zones(text), wanted, parked if wanted is None else ())
    counters = [int(value) for value in re.findall(r"^counter (\d{1,18})$", text, re.MULTILINE)]
    flags: list[str] = re.findall(r"^flags (.{0,40})$", text, re.MULTILINE)
    raised = any(
        re.fullmatch(r"(0x)?[0-9a-fA-F]{1,16}", value) and int(value, 16) & each.mask
        for value, each in zip(flags, thermal.throttle_flags, strict=False)
    )
    celsius, zone = (hottest.celsius, clean(hottest.zone, 100)) if hottest else (None, "")
    return Reading(celsius, sum(counters) if counters else None, raised, zone)
