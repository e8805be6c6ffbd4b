"""What is true on the device before and after each round.  None where it can't be read."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from lutfarm_runner.machine.zones import hottest as hottest_of

LARGEST_BYTES = 1 << 50  # a network file system may claim more; the wire has no room for it
BUSY = (0, 1, 2, 5, 6, 7)  # of a cpu line of /proc/stat: user, nice, system, irq, softirq, steal
HYPERVISORS = (  # files that only a guest has
    "sys/hypervisor/type",
    "proc/device-tree/hypervisor/compatible",
    "proc/xen/capabilities",
)
MOST_CPUS = 4096
MOST_OF_NAME = 40  # characters


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


def zones(root: str = "/sys/class/thermal") -> List[Tuple[str, int]]:
    """Type and reading of every thermal zone that can be read."""
    found: List[Tuple[str, int]] = []
    for path in sorted(Path(root).glob("thermal_zone*")):
        raw = read_int(str(path / "temp"))
        if raw is not None:
            found.append(((read_text(str(path / "type")) or "")[:MOST_OF_NAME], raw))
    return found


def cpus_off(root: str = "/sys/devices/system/cpu") -> List[int]:
    """Cores that the machine has and that are switched off; not the siblings of a machine whose SMT is off."""
    if read_text(root + "/smt/control") in ("off", "forceoff"):
        return []
    present, online = (cpu_list(read_text(f"{root}/{name}") or "") for name in ("present", "online"))
    return sorted(set(present) - set(online)) if online else []


def cpu_list(text: str) -> List[int]:
    """From the kernel's form, such as 0-3,6; empty where it is none."""
    found: List[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        last = last if dash else first
        if not (first.isdecimal() and last.isdecimal()) or int(last) >= MOST_CPUS:
            return []
        found += range(int(first), int(last) + 1)
    return found


def load_1min() -> Optional[float]:
    """The load average over one minute."""
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):
        return None


def governor(cpu: int) -> Optional[str]:
    """Who sets a core's frequency."""
    return read_text(f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor") or None


def battery(root: str = "/sys/class/power_supply") -> Tuple[Optional[int], Optional[bool]]:
    """(charge in percent, whether it is on the charger) of the system's emptiest battery; None where there is none to read.

    Batteries of a mouse or a headset (scope `Device`) are left out.
    """
    found: List[Tuple[int, Optional[bool]]] = []
    for path in sorted(Path(root).glob("*")):
        if read_text(str(path / "type")) != "Battery" or read_text(str(path / "scope")) == "Device":
            continue
        percent = read_int(str(path / "capacity"))
        status = read_text(str(path / "status"))
        known = {"Charging": True, "Full": True, "Discharging": False, "Not charging": False}
        if percent is not None and 0 <= percent <= 100:
            found.append((percent, known.get(status or "")))
    return min(found, key=lambda one: one[0]) if found else (None, None)


def free_bytes(folder: Optional[str] = None) -> Optional[int]:
    """What may still be written to the file system of a folder; by default of the one that the runner's file lies in."""
    try:
        space = os.statvfs(folder or Path(__file__).absolute().parents[3])
    except OSError:
        return None
    return min(space.f_bavail * space.f_frsize, LARGEST_BYTES)


def busy(path: str = "/proc/stat") -> Tuple[Optional[float], Optional[int]]:
    """(CPU time of all cores together in s, stolen time included, how many are online): see the kernel's proc(5)."""
    lines = [line.split() for line in (read_text(path) or "").splitlines() if line.startswith("cpu")]
    if len(lines) < 2 or lines[0][0] != "cpu":
        return None, None
    try:
        ticks = sum(int(lines[0][1 + field]) for field in BUSY)
    except (ValueError, IndexError):
        return None, None
    return ticks / os.sysconf("SC_CLK_TCK"), len(lines) - 1


def virtual(root: str = "/") -> Optional[bool]:
    """Whether this is a guest of a hypervisor; None: can't be told.

    An x86 processor says so.  Elsewhere a guest has one of HYPERVISORS, or a device tree that calls it virtual; a board or a
    phone has a device tree of its own, and a server with DMI tables may be either.
    """
    flags = colon_field(root + "proc/cpuinfo", "flags")
    if flags is not None:
        return "hypervisor" in flags.split()
    if any(read_text(root + path) is not None for path in HYPERVISORS):
        return True
    tree = read_text(root + "proc/device-tree/compatible")
    if tree is None or read_text(root + "sys/class/dmi/id/sys_vendor") is not None:
        return None
    return "dummy-virt" in tree


def environment(cpu: Optional[int]) -> Dict[str, object]:
    """E of docs/wire.md; governor and frequency of the measured core."""
    battery_percent, battery_charging = battery()
    busy_s, cores = busy()
    hottest = hottest_of(zones())
    frequency = f"/sys/devices/system/cpu/cpu{cpu or 0}/cpufreq"
    return {
        "time_s": time.time(),
        "governor": governor(cpu or 0),
        "frequency_khz": read_int(frequency + "/scaling_cur_freq"),
        "temperature_c": hottest.celsius if hottest else None,
        "temperature_zone": hottest.zone if hottest else None,
        "load_1min": load_1min(),
        "memory_available_bytes": memory_bytes("MemAvailable"),
        "battery_percent": battery_percent,
        "battery_charging": battery_charging,
        "free_bytes": free_bytes(),
        "busy_s": busy_s,
        "own_s": time.process_time(),
        "cores": cores,
        "virtual": virtual(),
    }
