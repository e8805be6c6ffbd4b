"""Several jobs in one farm, for tests: scripted devices that are machines of their own."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from tests.farm_kit import Quiet

from lutfarm.agent_pool.local import AgentFactory, LocalPool
from lutfarm.devices import leases
from lutfarm.execution.sitting import Sitting
from lutfarm.store import Store, open_store
from lutfarm.submission import submit
from lutfarm_agents import process_identity
from lutfarm_agents.address import LocalAddress
from lutfarm_agents.device import Device
from lutfarm_agents.testing import Script, ScriptedAgents
from lutfarm_jobs.round import Lease
from lutfarm_jobs.spec import JobSpec, parse_job

PATIENCE_S = 60.0
WIDTHS = {width: f"conv_H14_W14_Cin8_Cout{width}_k1_s1_g1_relu" for width in (8, 16, 24)}


@contextmanager
def store_of(folder: Path, *devices: str) -> Generator[Store]:
    """A store with these devices."""
    with open_store(folder / "home") as found:
        for name in devices:
            found.put_device(Device(name, f"generic-linux-{os.uname().machine}", "local", LocalAddress()))
        yield found


def job(name: str, *widths: int, rounds: int = 3, devices: tuple[str, ...] = ("a", "b")) -> JobSpec:
    """A job of so many rounds of convolutions of these widths."""
    return parse_job(
        {
            "name": name,
            "workloads": [{"operators": [WIDTHS[width] for width in widths]}],
            "devices": list(devices),
            "backends": [{"runtime": "onnxruntime"}],
            "sampling": {"rounds": rounds, "passes": 2, "stop": "rounds"},
        },
        source="job",
    )


def machine(name: str, script: Script | None = None) -> Script:
    """A script of a machine of its own."""
    script = script or Script()
    return replace(script, hello=replace(script.hello, machine_id=name))


@contextmanager
def at_work(store: Store, folder: Path, *, owner: str = "", agents: AgentFactory | None = None) -> Generator[Sitting]:
    """A farm of two devices, unless it is told otherwise."""
    agents = agents or ScriptedAgents({name: machine(name) for name in ("a", "b")})
    with (
        closing(LocalPool(state_dir=folder / "agents", agent_factory=agents)) as pool,
        closing(Sitting(store, pool, folder / "models", owner=owner or str(process_identity.me()), holder="a farm")) as sitting,
    ):
        yield sitting


def admit(sitting: Sitting, store: Store, folder: Path, spec: JobSpec, watch: Quiet | None = None) -> None:
    """One more job."""
    submitted, sources = submit.submit(spec, folder, store)
    sitting.admit(submitted, sources, watch or Quiet())


def taken(store: Store, device: str) -> Lease:
    """The lease of somebody else, whoever had it before: as after a laptop was asleep for some minutes."""
    later_s = time.time() + 2 * leases.LEASE_S
    lease = store.acquire(device, owner="bob", holder="bob: a check", now_s=later_s, ttl_s=9 * leases.LEASE_S)
    assert isinstance(lease, Lease)
    return lease


def turned(*sittings: Sitting, until: Callable[[], bool]) -> None:
    """Their turns, one after the other."""
    end_s = time.monotonic() + PATIENCE_S
    while not until():
        assert time.monotonic() < end_s, [sitting.state.units for sitting in sittings]
        for sitting in sittings:
            sitting.turn()


def runs_of(store: Store, spec: JobSpec) -> Counter[str]:
    """By device, how many runs a job has."""
    return Counter(run.device for run in store.runs(spec.id, samples=False))


class Told(Quiet):
    """Keeps who has which device."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: set[tuple[str, str]] = set()

    def waiting(self, device: str, holder: str) -> None:
        """Remember."""
        self.waits.add((device, holder))
