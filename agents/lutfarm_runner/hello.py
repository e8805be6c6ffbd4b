"""The hello: what the device says of itself."""

from __future__ import annotations

import hashlib
import platform
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Dict, Sequence

from lutfarm_runner import PROTOCOL, binary
from lutfarm_runner.machine import clock
from lutfarm_runner.machine.environment import colon_field, cpus_off, environment, governor, memory_bytes, read_text
from lutfarm_runner.machine.limits import available_cpus


def machine_id() -> str:
    """Equal for every device that runs under this kernel, in a container or not, until it boots again."""
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


def versions(packages: Sequence[str]) -> Dict[str, str]:
    """Those of these distributions that are installed, with versions; nothing is imported."""
    found: Dict[str, str] = {}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def timer_pair_ns() -> int:
    """How far two readings of the clock lie apart at least, which every sample holds once: the least of ten tries."""
    return min(clock.apart_ns(time.perf_counter_ns) for _ in range(10))


def archive_sha256() -> str:
    """Of the zipapp that runs; empty when run from source files."""
    archive = Path(__file__).parents[1]
    return hashlib.sha256(archive.read_bytes()).hexdigest() if archive.is_file() else ""


def hello(packages: Sequence[str]) -> Dict[str, object]:
    """The first line.  `packages`: what may hold a runtime; the host knows."""
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
        "cpus_off": cpus_off(),
        "word_bits": binary.word_bits(),
        "abi": binary.abi(),
        "libc": binary.libc(),
        "memory_bytes": memory_bytes("MemTotal") or 0,
        "machine_id": machine_id(),
        "clock_resolution_ns": clock.clock_step_ns(time.perf_counter_ns),
        "timer_pair_ns": timer_pair_ns(),
        "runtimes": versions(packages),
        "governor": governor(cpus[-1]),
        "environment": environment(cpus[-1]),
    }
