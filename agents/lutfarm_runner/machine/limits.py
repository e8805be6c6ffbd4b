"""What the operating system holds a process to: memory, cores, its parent's life."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
from pathlib import Path
from typing import Dict, Iterable, Optional, Sequence

PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Have the kernel end this process when `parent` ends.  Best effort: Linux only."""
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    except (OSError, AttributeError):
        return
    if os.getppid() != parent:  # it ended before the kernel was told
        os._exit(1)


def allow_memory(extra_bytes: int) -> None:
    """Limit the address space to what is mapped now plus `extra_bytes`; no core file.

    Only the soft limit moves, so that it can be moved again before the next load.
    """
    mapped = mapped_bytes()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = mapped + extra_bytes
    if mapped and hard not in (resource.RLIM_INFINITY, -1):
        wanted = min(wanted, hard)
    if mapped and wanted < 1 << 63:
        resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))


def be_first_to_go() -> None:
    """Where the device runs out of memory, the kernel should end this process and not the supervisor."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def no_core_file() -> None:
    """A crash must not write its memory to the device's disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def status_bytes() -> Dict[str, int]:
    """The memory figures of /proc/self/status in bytes; empty where there are none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.split() for line in lines if line.startswith(("Vm", "Rss")))
    return {pair[0].rstrip(":"): int(pair[1]) * 1024 for pair in pairs if len(pair) == 3}


def mapped_bytes() -> int:
    """Address space in use; 0 where it can't be read."""
    return status_bytes().get("VmSize", 0)


def peak_bytes() -> int:
    """The largest resident memory so far of this process; a fork starts from what it inherited."""
    peak = status_bytes().get("VmHWM")
    return peak if peak is not None else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def own_bytes() -> int:
    """Resident memory now that no file backs; 0 where it can't be read."""
    return status_bytes().get("RssAnon", 0)


def own_peak_bytes() -> int:
    """The largest own_bytes so far, nearly: pages of files, once touched, stay."""
    status = status_bytes()
    return status.get("VmHWM", 0) - status.get("RssFile", 0) - status.get("RssShmem", 0)


def pin(cpus: Iterable[int]) -> bool:
    """Run on these cores only.  False where the system can't or the cores are not there."""
    try:
        os.sched_setaffinity(0, cpus)
    except (AttributeError, OSError, ValueError):
        return False
    return True


def available_cpus() -> Sequence[int]:
    """The cores that this process may use."""
    try:
        return sorted(os.sched_getaffinity(0))
    except AttributeError:
        return list(range(os.cpu_count() or 1))


def others(cpus: Iterable[int]) -> Optional[Sequence[int]]:
    """The available cores without `cpus`, or None where none is left."""
    measured = set(cpus)
    rest = [cpu for cpu in available_cpus() if cpu not in measured]
    return rest or None
