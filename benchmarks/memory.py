"""Resident memory: controller and Ray while idle, and the runner on the device while it measures.

Memory is proportional set size (PSS): pages that several processes share are counted once, split among them.
The runner's figure is the largest sum over the supervisor and its children that sampling every 10 ms saw in a probe
and in a round; the models are what the probes said that each added to its process.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import _device
import psutil
from _device import Convolution
from _table import Report, options

from lutfarm.agent_pool.interface import Done, Opening
from lutfarm.agent_pool.ray.pool import RayPool
from lutfarm_agents import process_identity
from lutfarm_agents.address import LocalAddress
from lutfarm_agents.device import Device
from lutfarm_jobs.round import Lease, Slicing

MB = 1e6
LIMIT_MB = 150
SETTLE_S = 5.0
OPERATORS = (Convolution(32, 28, 3), Convolution(512, 28, 3))


def pss_mb(processes: Iterable[psutil.Process]) -> float:
    """Their proportional set size; a process that is gone counts nothing."""
    total = 0
    for process in processes:
        with suppress(psutil.Error):
            total += process.memory_full_info().pss
    return total / MB


def descendants(pid: int) -> list[psutil.Process]:
    """The process and all below it."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


@dataclass(slots=True)
class Watch:
    """The largest value that a figure took while the block ran."""

    figure: Callable[[], float]
    peak: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread:
            self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.01):
            self.peak = max(self.peak, self.figure())


def runner_rows(home: Path, runtime: str) -> tuple[object, ...]:
    """One row: what the runner takes beside the models."""
    cache = home / "models"
    wanted, paths = _device.tasks(OPERATORS, runtime, cache)
    with _device.opened(home) as agent:
        supervisors = set(psutil.Process().children())
        pid = max(process.pid for process in supervisors)

        def watched() -> float:
            return pss_mb(descendants(pid))

        idle = watched()
        with Watch(watched) as probing:
            wanted, probes = _device.probed(agent, wanted, paths)
        with Watch(watched) as measuring:
            plan = Slicing(passes=12)
            runs = _device.measured(agent, wanted, paths, cache, slicing=plan, index=0)
    sizes = [(probe.model_memory_bytes or 0) / MB for probe in probes]
    resident = max((run.peak_memory_bytes or 0) for run in runs.values()) / MB
    beside = max(probing.peak - max(sizes), measuring.peak - sum(sizes))
    return (
        f"runner, {runtime}",
        round(idle, 1),
        round(max(probing.peak, measuring.peak), 1),
        round(sum(sizes), 1),
        round(beside, 1),
        "yes" if beside <= LIMIT_MB else "no",
        f"round's process: {resident:.0f} MB resident",
    )


def ray_rows(home: Path) -> list[tuple[object, ...]]:
    """Controller and Ray with one device open and nothing to do."""
    device = Device(_device.UNIT, f"generic-linux-{os.uname().machine}", "local", LocalAddress())
    lease = Lease(device.name, 1, str(process_identity.me()), time.time() + 600)
    before = pss_mb([psutil.Process()])
    with closing(RayPool.start(state_dir=home)) as pool:
        pool.submit(Opening(uuid.uuid4().hex, device, lease, uuid.uuid4().hex, "benchmark"))
        while not any(isinstance(event, Done) for event in pool.events(1.0)):
            pass
        time.sleep(SETTLE_S)
        by_kind: Counter[str] = Counter()
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                by_kind[kind(process)] += round(pss_mb([process]) * 10)
        own = pss_mb([psutil.Process()])
    rows: list[tuple[str, float]] = [("controller, before Ray", round(before, 1)), ("controller", round(own, 1))]
    rows += [(name, tenths / 10) for name, tenths in sorted(by_kind.items())]
    rows.append(("controller and Ray together", round(own + sum(by_kind.values()) / 10, 1)))
    return [(name, idle, None, None, None, "", "") for name, idle in rows]


def kind(process: psutil.Process) -> str:
    """What a child of the controller is."""
    text = " ".join(process.cmdline()) or process.name()
    for mark, name in (
        ("gcs_server", "Ray: control service"),
        ("raylet/raylet", "Ray: raylet"),
        ("supervise", "runner, idle"),
        ("ray::", "Ray: the host's actor"),
        ("dashboard", "Ray: agents"),
        ("runtime_env", "Ray: agents"),
        ("log_monitor", "Ray: log monitor"),
        ("monitor.py", "Ray: monitor"),
    ):
        if mark in text:
            return name
    return "Ray: other" if "ray" in text else process.name()


def main() -> None:
    """Print controller, Ray and runner."""
    chosen = options(__doc__)
    report = Report("memory, MB", ("what", "idle", "peak", "models", "peak less models", f"<= {LIMIT_MB} MB", "also"))
    with _device.scratch() as home:
        # First, while this process holds nothing but what a controller does.
        report.rows += ray_rows(home)
        report.rows += [runner_rows(home, runtime) for runtime in ("onnxruntime", "tflite")]
    report.show(chosen)


if __name__ == "__main__":
    main()
