"""How hot a device is and whether it throttles, by its own thermometers and counters; read between rounds only."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lutfarm_agents.transports.base import Transport
from lutfarm_profiles.conditions import Thermal

COLDEST_C, HOTTEST_C = -60.0, 200.0                # what says more or less is no thermometer

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

    temperature_c: float | None = None             # of the hottest watched zone
    events: int | None = None                      # throttle counters, summed
    throttled_now: bool = False


class Climate:
    """The thermometers of one device.  Does nothing where its profile watches none."""

    def __init__(self, transport: Transport, thermal: Thermal | None) -> None:
        self._transport = transport
        self._thermal = thermal

    def read(self) -> Reading:
        """Some milliseconds of the device's time.  Raises LinkError."""
        thermal = self._thermal
        if thermal is None:
            return Reading()
        flags = [each.path for each in thermal.throttle_flags]
        done = self._transport.run(["sh", "-c", SCRIPT, "sh", *thermal.throttle_files, "--", *flags])
        return parse(done.stdout.decode("utf-8", "replace"), thermal)

    def throttled(self, before: Reading, after: Reading) -> bool:
        """Whether the device slowed itself between two looks, as far as it says."""
        counted = before.events is not None and after.events is not None and after.events > before.events
        limit_c = self._thermal.limit_c if self._thermal else HOTTEST_C
        hot = after.temperature_c is not None and after.temperature_c > limit_c
        return counted or hot or before.throttled_now or after.throttled_now


def parse(text: str, thermal: Thermal) -> Reading:
    """From what SCRIPT prints; what does not check is left out."""
    zones = [
        int(temp) / 1000.0 for temp, kind in re.findall(r"^zone (-?\d{1,7}) (.{0,100})$", text, re.MULTILINE)
        if thermal.zones == "all" or kind in thermal.zones
    ]
    celsius = [temp for temp in zones if COLDEST_C < temp < HOTTEST_C]
    counters = [int(value) for value in re.findall(r"^counter (\d{1,18})$", text, re.MULTILINE)]
    flags: list[str] = re.findall(r"^flags (.{0,40})$", text, re.MULTILINE)
    raised = any(
        re.fullmatch(r"(0x)?[0-9a-fA-F]{1,16}", value) and int(value, 16) & each.mask
        for value, each in zip(flags, thermal.throttle_flags, strict=False)
    )
    return Reading(max(celsius, default=None), sum(counters) if counters else None, raised)
