"""Tables by the farm itself on this machine: a job from spec to entries, with what it charged the device."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import _device

from lutfarm.agent_pool.interface import AgentPool, Done, Event, Measuring, Order
from lutfarm.agent_pool.local import LocalPool
from lutfarm.cli.terminal.run_progress import RunDisplay
from lutfarm.execution.open_farm import open_farm
from lutfarm.execution.run_job import Farm
from lutfarm.home import find_home
from lutfarm.lut import LatencyTable
from lutfarm.results.job_entries import judged
from lutfarm.results.job_table import table_of
from lutfarm.store import Store
from lutfarm.submission import submit
from lutfarm.submission.submission import Submission
from lutfarm_agents import process_identity
from lutfarm_agents.address import LocalAddress
from lutfarm_agents.device import Device
from lutfarm_agents.testing import SimulatedAgents, SimulatedDevice
from lutfarm_jobs import models, spaces
from lutfarm_jobs.measurement import Workload
from lutfarm_jobs.run import Run
from lutfarm_jobs.spec import parse_job

BACKEND = "onnxruntime"


def mix() -> list[str]:
    """Keys of 40 and more operators of 17 us to 2.5 ms: the 7 largest of NAS-Bench-201, a selection of FBNet and ProxylessNAS."""
    small = [o for o in spaces.load("nas-bench-201-cifar10").operators() if not o.is_nothing]
    small.sort(key=lambda operator: operator.multiply_accumulates)
    found = small[-7:]
    for name, every in (("fbnet-224", 4), ("proxylessnas-224", 8)):
        found += [o for o in spaces.load(name).operators() if not o.is_nothing][::every]
    return list(dict.fromkeys(operator.key for operator in found))


def spread_over(items: Sequence[str], count: int) -> list[str]:
    """So many of them, evenly."""
    return [items[index * len(items) // count] for index in range(min(count, len(items)))]


def files(keys: Sequence[str], home: Path) -> list[Path]:
    """The model file of each operator, as the farm builds it."""
    cache = find_home(home).models
    return [models.build(Workload("operator", key), "onnx", cache).path for key in keys]


@dataclass(frozen=True, slots=True)
class Tabled:
    """One job's table: latencies in ns by workload; `held_s` is what the device was charged, probes and openings included."""

    job_id: str
    table: LatencyTable
    latencies_ns: Mapping[str, float]
    held_s: float
    round_s: Mapping[int, float]  # of it, what the n-th round of its entries took, from 0
    wall_s: float
    rounds: float  # processes of an entry, on average
    flags: Mapping[str, int]


@dataclass(slots=True)
class Metered:
    """A pool that notes what its device was charged for rounds."""

    pool: AgentPool
    round_s: dict[int, float] = field(default_factory=dict)
    _indexes: dict[str, int] = field(default_factory=dict)

    def submit(self, order: Order) -> None:
        """Pass on."""
        if isinstance(order, Measuring):
            self._indexes[order.id] = order.round.index
        self.pool.submit(order)

    def events(self, timeout_s: float) -> Sequence[Event]:
        """Pass on."""
        found = self.pool.events(timeout_s)
        for event in found:
            if isinstance(event, Done) and (index := self._indexes.pop(event.order, None)) is not None:
                self.round_s[index] = self.round_s.get(index, 0.0) + sum(event.spent_ns.values()) / 1e9
        return found

    def cancel(self, order_id: str) -> None:
        """Pass on."""
        self.pool.cancel(order_id)

    def close(self) -> None:
        """Pass on."""
        self.pool.close()


@dataclass(frozen=True, slots=True)
class Desk:
    """A farm's only device, with a store of its own that remembers the canary from job to job.

    It is this machine, unless it is `simulated`.
    """

    home: Path
    store: Store
    simulated: SimulatedDevice | None = None

    def measure(self, name: str, keys: Sequence[str], sampling: Mapping[str, object] | None = None) -> Tabled:
        """A job over these operators that measures everything anew; `sampling` as a job file says it, or its defaults."""
        return self.play(
            {
                "name": name,
                "workloads": [{"operators": list(keys)}],
                "backends": [{"runtime": BACKEND}],
                **({"sampling": dict(sampling)} if sampling else {}),
            }
        )

    def play(self, job: Mapping[str, object]) -> Tabled:
        """A job, as its file says it, over what is to be measured anew on this device."""
        spec = parse_job({"devices": [_device.UNIT], "fresh": True, **job}, source="benchmark")
        began_s = time.monotonic()
        submitted, sources = submit.submit(spec, self.home, self.store)
        with self._farm(submitted) as farm:
            metered = Metered(farm.pool)
            outcome = replace(farm, pool=metered).run(submitted, sources, RunDisplay(brief=True))
        wall_s = time.monotonic() - began_s
        table = table_of(self.store, outcome.job_id)
        entries = [entry for entry in table.entries if entry.kind == "measured"]
        if len(entries) != len(submitted.plan):
            raise SystemExit(f"{spec.name}: {len(submitted.plan) - len(entries)} of {len(submitted.plan)} could not be measured")
        flags = [flag for entry in entries for flag in entry.flags]
        by_key = {m.key: m.workload.name for m in self.store.measurements(outcome.job_id)}
        return Tabled(
            outcome.job_id,
            table,
            {by_key[entry.key]: float(entry.estimate or 0) for entry in entries},
            sum(outcome.job.spent_s.values()),
            metered.round_s,
            wall_s,
            sum(entry.rounds or 0 for entry in entries) / len(entries),
            {flag: flags.count(flag) for flag in dict.fromkeys(flags)},
        )

    def _farm(self, submitted: Submission) -> AbstractContextManager[Farm]:
        home = find_home(self.home)
        if self.simulated is None:
            return open_farm(submitted, self.store, home, kind="local")
        pool = LocalPool(state_dir=home.agents, agent_factory=SimulatedAgents({_device.UNIT: self.simulated}))
        farm = Farm(self.store, pool, home.models, str(process_identity.me()), "benchmark")
        return _closing(farm)

    def runs(self, tabled: Tabled) -> list[Run]:
        """The stored runs of a table, judged by what is known of the canary now."""
        return list(judged(self.store, tabled.job_id))


@contextmanager
def _closing(farm: Farm) -> Generator[Farm]:
    with closing(farm.pool):
        yield farm


def register(home: Path, store: Store) -> Desk:
    """This machine, in a new store."""
    store.put_device(Device(_device.UNIT, f"generic-linux-{os.uname().machine}", "local", LocalAddress()))
    return Desk(home, store)
