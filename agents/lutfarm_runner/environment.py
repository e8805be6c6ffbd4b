"""What is true on the device: once for the hello, and before and after each round.  None where unreadable."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Dict, List, Optional

from lutfarm_runner import PROTOCOL
from lutfarm_runner.limits import available_cpus

DISTRIBUTIONS = ("onnxruntime", "ai-edge-litert", "tflite-runtime", "numpy")
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
    plausible = [value / 1000.0 for value in values if value is not None and -50.0 < value / 1000.0 < HOTTEST_C]
    return max(plausible, default=None)


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


def machine_id() -> str:
    """Equal for every unit that runs under this kernel, in a container or not, until it boots again."""
    for path in ("/proc/sys/kernel/random/boot_id", "/etc/machine-id", "/var/lib/dbus/machine-id"):
        if found := read_text(path):
            return hashlib.sha256(f"lutfarm {found}".encode()).hexdigest()[:32]
    return hashlib.sha256(f"lutfarm {platform.node()}".encode()).hexdigest()[:32]


def cpu_model() -> str:
    """As the system names it: x86's model name, a board's model, else the architecture."""
    return (
        colon_field("/proc/cpuinfo", "model name", "Hardware", "Model")
        or read_text("/sys/firmware/devicetree/base/model")
        or platform.processor()
        or platform.machine()
    )


def runtimes() -> Dict[str, str]:
    """Distributions found, with versions; nothing is imported."""
    found: Dict[str, str] = {}
    for name in DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def timer_pair_ns() -> int:
    """What two readings of the clock cost: the median of 1,000 pairs."""
    now = time.perf_counter_ns
    pairs: List[int] = []
    for _ in range(1000):
        start = now()
        pairs.append(now() - start)
    return sorted(pairs)[500]


def archive_sha256() -> str:
    """Of the zipapp that runs; empty when run from source files."""
    archive = Path(__file__).parents[1]
    return hashlib.sha256(archive.read_bytes()).hexdigest() if archive.is_file() else ""


def hello() -> Dict[str, object]:
    """The first line."""
    cpus = list(available_cpus())
    return {
        "protocol": PROTOCOL,
        "runner_sha256": archive_sha256(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "executable": sys.executable,
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "cpu_model": cpu_model(),
        "cpus": cpus,
        "memory_bytes": memory_bytes("MemTotal") or 0,
        "machine_id": machine_id(),
        "clock_resolution_ns": max(1, round(time.get_clock_info("perf_counter").resolution * 1e9)),
        "timer_pair_ns": timer_pair_ns(),
        "runtimes": runtimes(),
        "governor": governor(cpus[-1]),
    }
