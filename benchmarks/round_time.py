"""Where a round's wall time goes: a real job over FBNet's operators, in-process pool, this machine.

`measuring` are slices, warm-up, canaries and waiting for quiet.  `idle` is the time in which the device had no
order: the farm deciding, committing and building models between two orders.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import _device
from _table import Report, options

from lutfarm.agent_pool.interface import AgentPool, Done, Event, Measuring, Order
from lutfarm.execution.open_farm import open_farm
from lutfarm.execution.resume import Resumed
from lutfarm.execution.run_job import JobOutcome
from lutfarm.home import find_home
from lutfarm.scheduling.job_progress import JobProgress
from lutfarm.scheduling.unit import Unit
from lutfarm.store import open_store
from lutfarm.submission import submit
from lutfarm_agents.address import LocalAddress
from lutfarm_agents.device import Device
from lutfarm_jobs.spec import parse_job

MEASURING = ("slices", "warmup", "canary", "wait")
AROUND = ("load", "import", "transfer", "other", "idle")
LEAST_SHARE = 0.80


@dataclass(slots=True)
class Timed:
    """A pool that notes what its rounds took; `spent_ns` has what devices said, and `idle` between two orders."""

    pool: AgentPool
    spent_ns: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    _rounds: dict[str, int] = field(default_factory=dict)
    _free_ns: int | None = None

    def submit(self, order: Order) -> None:
        """Pass on; from here on the device is busy."""
        now_ns = time.monotonic_ns()
        if isinstance(order, Measuring):
            self._rounds[order.id] = now_ns
            if self._free_ns is not None:
                self.spent_ns["idle"] += now_ns - self._free_ns
        self._free_ns = None
        self.pool.submit(order)

    def events(self, timeout_s: float) -> Sequence[Event]:
        """Pass on, counting what ended rounds say."""
        found = self.pool.events(timeout_s)
        now_ns = time.monotonic_ns()
        for event in found:
            if isinstance(event, Done):
                self._free_ns = now_ns
                if (began_ns := self._rounds.pop(event.order, None)) is not None:
                    self.rounds += 1
                    self.spent_ns.update(event.spent_ns)
                    self.spent_ns["other"] += max(0, now_ns - began_ns - sum(event.spent_ns.values()))
        return found

    def cancel(self, order_id: str) -> None:
        """Pass on."""
        self.pool.cancel(order_id)

    def close(self) -> None:
        """Pass on."""
        self.pool.close()


class Silent:
    """A watcher that says nothing."""

    def waiting(self, device: str, holder: str) -> None: ...

    def resumed(self, device: str, found: Resumed) -> None: ...

    def retrying(self, failures: int) -> None: ...

    def preparing(self, done: int, total: int) -> None: ...

    def update(self, job: JobProgress, units: Mapping[str, Unit], events: Sequence[Event]) -> None: ...


def run(home_path: Path, *, every: int, rounds: int) -> tuple[Timed, JobOutcome]:
    """The job from an empty store."""
    spec = parse_job(
        {
            "name": "round-time",
            "workloads": [{"space": "fbnet-224", "every": every}],
            "devices": [_device.UNIT],
            "backends": [{"runtime": "onnxruntime"}],
            "sampling": {"rounds": rounds, "stop": "rounds"},
        },
        source="benchmark",
    )
    home = find_home(home_path)
    with open_store(home.path) as store:
        store.put_device(Device(_device.UNIT, f"generic-linux-{os.uname().machine}", "local", LocalAddress()))
        submitted, sources = submit.submit(spec, home_path, store)
        with open_farm(submitted, store, home, kind="local") as farm:
            timed = Timed(farm.pool)
            return timed, replace(farm, pool=timed).run(submitted, sources, Silent())


def main() -> None:
    """Print one row for each use of time."""
    chosen = options(__doc__)
    every, rounds = (2, 2) if chosen.quick else (1, 5)
    with _device.scratch() as home:
        timed, outcome = run(home, every=every, rounds=rounds)
    operators = len(outcome.job.plan)
    spent_s = {name: timed.spent_ns[name] / 1e9 for name in (*MEASURING, *AROUND)}
    whole_s = sum(spent_s.values())
    report = Report(f"where the wall time of {timed.rounds} rounds goes, {operators} operators", ("what", "s", "share"))
    measuring_s = sum(spent_s[name] for name in MEASURING)
    for name, seconds in (*spent_s.items(), ("measuring, together", measuring_s), ("whole", whole_s)):
        report.rows.append((name, round(seconds, 3), round(seconds / whole_s, 4)))
    share = measuring_s / whole_s
    met = "yes" if share >= LEAST_SHARE else "no"
    report.notes.append(f"measuring at least {LEAST_SHARE:.2f}: {met} ({share:.3f})")
    if outcome.missing:
        report.notes.append(f"{len(outcome.missing)} measurements are missing")
    report.show(chosen)


if __name__ == "__main__":
    main()
