"""What a device's thermal zones say of its processor: in whatever unit, and without sensors that measure nothing.

Seen in the field: millidegrees (38000), tenths of a degree (309) and degrees (31), side by side on one phone; 0 where a zone
could not be read; sensors that nobody wired, parked at 125000, 125, -40000, -127000 or -274000.
"""

from __future__ import annotations

import re
from typing import Collection, Dict, Iterable, NamedTuple, Optional, Set, Tuple

COLDEST_C, HOTTEST_C = -30.0, 150.0  # what says more or less is no thermometer of a processor at work
PARKED_C = (0.0, 125.0)
CPU = re.compile(
    r"cpu|tsens|x86_pkg|coretemp|k10temp|soc|cluster|package|bcm2\d+_thermal|^(?:big|mid|little|prime|gold|silver|apc|b0d4|core)",
    re.IGNORECASE,
)
OTHER = re.compile(
    r"batt|bms|therm_?adc|^pa_?therm|^xo_?therm|quiet|skin|case|chg|charg|usb|wifi|wlan|iwl|modem|^mdm|^pm\w*\d|flash|cam|gpu|ddr|nvme|"
    r"_bts|board|ambient|^virtual|conn|emmc|ufs|pch|int3400|^sen\d|rtc|lcd|display|back",
    re.IGNORECASE,
)


class Hottest(NamedTuple):
    """Of the zones that decide."""

    celsius: float
    zone: str  # its type; empty where it has none


def celsius(raw: int) -> Optional[float]:
    """Of a reading in millidegrees, tenths or degrees; None where it can't be the temperature of anything that computes."""
    size = abs(raw)
    value = raw / 1000.0 if size >= 1000 else raw / 10.0 if size > HOTTEST_C else float(raw)
    return value if COLDEST_C < value < HOTTEST_C and value not in PARKED_C else None


def hottest(
    readings: Iterable[Tuple[str, int]], wanted: Optional[Collection[str]] = None, left_out: Collection[str] = ()
) -> Optional[Hottest]:
    """The hottest zone that decides: of the types that are wanted; by default the processor's, else those that may be its.

    Zones that are known to be something else, such as a battery, decide only where they are asked for.
    """
    known = [(kind, value) for kind, raw in readings if kind not in left_out and (value := celsius(raw)) is not None]
    if wanted is not None:
        chosen = [one for one in known if one[0] in wanted]
    else:
        chosen = [one for one in known if is_cpu(one[0])] or [one for one in known if not OTHER.search(one[0])]
    return max((Hottest(value, kind) for kind, value in chosen), default=None)


def is_cpu(kind: str) -> bool:
    """Whether a zone of this type is a processor's."""
    return bool(CPU.search(kind)) and not OTHER.search(kind)


class Movement:
    """Which zones never moved while one of the processor's did, over several looks: that one goes on to decide."""

    LOOKS = 4

    def __init__(self) -> None:
        self._seen: Dict[Tuple[int, str], Set[int]] = {}
        self._looks = 0

    def look(self, readings: Iterable[Tuple[str, int]]) -> Collection[str]:
        """One more look; the types of zones that are parked by now."""
        self._looks += 1
        for place, (kind, raw) in enumerate(readings):
            self._seen.setdefault((place, kind), set()).add(raw)
        if self._looks < self.LOOKS or not any(len(v) >= self.LOOKS and is_cpu(kind) for (_, kind), v in self._seen.items()):
            return ()
        moved = {kind for (_, kind), values in self._seen.items() if len(values) > 1}
        return {kind for _, kind in self._seen} - moved
