"""What else computes on this machine."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

LOADED_CORES = 0.25  # an idle machine's own daemons take less
PRESSED = 0.10
PRESSURE = Path("/proc/pressure/cpu")


@dataclass(frozen=True, slots=True)
class Load:
    """How busy others keep this machine: `others` in cores, `queue` the load average of a minute.

    `pressure`: the share of ten seconds in which something waited for a core; None where the kernel does not say.
    """

    cores: int
    others: float
    queue: float = 0.0
    pressure: float | None = None

    @property
    def loaded(self) -> bool:
        """Whether numbers that are measured now may be disturbed."""
        return self.others >= LOADED_CORES or (self.pressure or 0.0) >= PRESSED

    @property
    def slowdown(self) -> float:
        """About how many times longer one more program takes than alone."""
        return max(1.0, (self.others + 1) / self.cores, self.queue / self.cores)

    def describe(self) -> str:
        """In words."""
        waits = f", and in {100 * self.pressure:.0f} % of the time something waits for one" if self.pressure else ""
        return f"other programs take {self.others:.1f} of its {self.cores} cores{waits}"


def watch(seconds: float = 1.0) -> Load:
    """Look for so long; this process itself is no other."""
    me = psutil.Process()
    before, mine, began_s = psutil.cpu_times(), me.cpu_times(), time.monotonic()
    time.sleep(seconds)
    after, mine_after, took_s = psutil.cpu_times(), me.cpu_times(), time.monotonic() - began_s
    own_s = sum(mine_after[:2]) - sum(mine[:2])
    others = max(0.0, _busy_s(after) - _busy_s(before) - own_s) / took_s
    return Load(os.cpu_count() or 1, others, os.getloadavg()[0], _pressure())


def _busy_s(times: object) -> float:
    """Everything but idling: a virtual machine's stolen time too; guests' is in the user's."""
    names = ("user", "nice", "system", "irq", "softirq", "steal")
    return sum(float(getattr(times, name, 0.0)) for name in names)


def _pressure() -> float | None:
    try:
        return pressure_of(PRESSURE.read_text())
    except OSError:  # an older kernel, or one without it
        return None


def pressure_of(text: str) -> float | None:
    """`some avg10=12.50 avg60=...` as 0.125; None where it says no such thing."""
    for word in text.split("\n", 1)[0].split():
        name, _, value = word.partition("=")
        if name == "avg10" and value.replace(".", "", 1).isdigit():
            return float(value) / 100
    return None
