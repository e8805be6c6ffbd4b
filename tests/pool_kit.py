"""What the tests of pools share: orders, and a way to wait for events."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from lutfarm.agent_pool.interface import AgentPool, Done, Event, Measured, Measuring, Opening, Probing
from lutfarm_agents.address import LocalAddress
from lutfarm_agents.device import Device
from lutfarm_jobs.measurement import Backend, Measurement, Workload
from lutfarm_jobs.round import Artifact, Lease, Limits, Round, Slicing, Task
from lutfarm_jobs.run import Run

WAIT_S = 60.0
PROFILE = "test-machine"
NO_MODEL = Artifact("0" * 64, 0, ".onnx")
PLAN = Slicing(passes=4, wait_ns=1_000_000)
SIMULATED = cast(Any, Backend)(runtime="simulated")

_numbers = itertools.count()


def write_profile(config_home: Path, lock_path: Path, *, name: str = PROFILE, more: str = "") -> None:
    """A profile of the test's own, so that its device lock is not the machine's.  `more`: further lines."""
    folder = config_home / "lutfarm" / "profiles"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.yaml").write_text(
        f"name: {name}\ndescription: for tests\ntransport: local\nruntimes: [onnxruntime]\n"
        f"clusters: [{{name: all, cpus: all}}]\nmeasured_cluster: all\nlock_path: {lock_path}\n{more}"
    )


def device(unit: str, **address: Any) -> Device:
    return Device(unit, PROFILE, "local", LocalAddress(**address))


def lease(unit: str, *, owner: str = "test 1", token: int = 1) -> Lease:
    return Lease(unit, token, owner, time.time() + 60)


def opening(unit: str, *, owner: str = "test 1", holder: str = "anna", farm: str = "f" * 32, token: int = 1) -> Opening:
    return Opening(f"open-{next(_numbers)}", device(unit), lease(unit, owner=owner, token=token), farm, holder)


def model(folder: Path, **fields: object) -> tuple[Artifact, Path]:
    """A model file of the simulated runtime."""
    content = json.dumps(fields, sort_keys=True).encode()
    sha256 = hashlib.sha256(content).hexdigest()
    path = folder / f"{sha256}.onnx"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return Artifact(sha256, len(content), ".onnx"), path


def task(unit: str, name: str, artifact: Artifact = NO_MODEL) -> Task:
    return Task(Measurement(Workload("operator", name), unit, SIMULATED), artifact)


def probing(unit: str, *tasks: Task, models: Mapping[str, Path] | None = None) -> Probing:
    limits = Limits(load_s=20, iteration_s=5)
    return Probing(f"probe-{next(_numbers)}", device(unit), lease(unit), tasks, limits, models or {})


def measuring(unit: str, *tasks: Task, models: Mapping[str, Path] | None = None, canary: Artifact = NO_MODEL) -> Measuring:
    number = next(_numbers)
    limits = Limits(load_s=20, iteration_s=5)
    round_ = Round(f"round-{number}", 0, tasks, PLAN, 1, canary, 50_000, limits)
    return Measuring(f"measure-{number}", device(unit), lease(unit), round_, models or {}, "job-1", 100.0)


class Listener:
    """Collects the events of a pool."""

    def __init__(self, pool: AgentPool) -> None:
        self.pool = pool
        self.seen: list[Event] = []

    def until(self, wanted: Callable[[Event], bool]) -> Event:
        """The first event, seen or to come, for which `wanted` is true."""
        deadline_s = time.monotonic() + WAIT_S
        position = 0
        while True:
            for event in self.seen[position:]:
                if wanted(event):
                    return event
            position = len(self.seen)
            assert time.monotonic() < deadline_s, f"not among {self.seen}"
            self.seen += self.pool.events(0.5)

    def done(self, order_id: str) -> Done:
        """The order's end."""
        return cast(Done, self.until(lambda event: isinstance(event, Done) and event.order == order_id))

    def of(self, order_id: str, kind: type[Any]) -> list[Any]:
        """The order's events of one kind so far."""
        return [event for event in self.seen if isinstance(event, kind) and event.order == order_id]

    def runs(self, order_id: str) -> list[Run]:
        """The order's runs so far."""
        return [event.run for event in self.of(order_id, Measured)]


def until(condition: Callable[[], bool], what: str, *, timeout_s: float = WAIT_S) -> None:
    """Wait for something outside of the pool."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.02)


def running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def last_cpu() -> int:
    return max(os.sched_getaffinity(0))
