"""What is true on the device before and after each round.  None where it can't be read."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Dict, Optional

HOTTEST_C = 200.0                                  # sensors that say more are broken or not thermometers


def read_text(path: str) -> Optional[str]:
    """A small file of /proc or /sys."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip("\0 \n\t")
    except OSError:
        return None


def read_int(path: str) -> Optional[int]:
    """A small file that holds one integer."""
    try:
        return int(read_text(path) or "")
    except ValueError:
        return None


def colon_field(path: str, *names: str) -> Optional[str]:
    """The first of the named fields of a `name : value` file such as /proc/cpuinfo."""
    pairs = (line.partition(":") for line in (read_text(path) or "").splitlines())
    found: Dict[str, str] = {}
    for name, _, value in pairs:
        found.setdefault(name.strip(), value.strip())
    return next((found[name] for name in names if found.get(name)), None)


def memory_bytes(name: str) -> Optional[int]:
    """A field of /proc/meminfo."""
    value = (colon_field("/proc/meminfo", name) or "").split()
    return int(value[0]) * 1024 if value and value[0].isdigit() else None


def temperature_c(root: str = "/sys/class/thermal") -> Optional[float]:
    """The hottest readable zone."""
    values = [read_int(str(path / "temp")) for path in sorted(Path(root).glob("thermal_zone*"))]
    celsius = [value / 1000.0 for value in values if value is not None]
    return max((value for value in celsius if -50.0 < value < HOTTEST_C), default=None)


def load_1min() -> Optional[float]:
    """The load average over one minute."""
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):
        return None


def governor(cpu: int) -> Optional[str]:
    """Who sets a core's frequency."""
    return read_text(f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor") or None


def environment(cpu: Optional[int]) -> Dict[str, object]:
    """E of docs/wire.md; governor and frequency of the measured core."""
    frequency = f"/sys/devices/system/cpu/cpu{cpu or 0}/cpufreq"
    return {
        "time_s": time.time(),
        "governor": governor(cpu or 0),
        "frequency_khz": read_int(frequency + "/scaling_cur_freq"),
        "temperature_c": temperature_c(),
        "load_1min": load_1min(),
        "memory_available_bytes": memory_bytes("MemAvailable"),
    }
