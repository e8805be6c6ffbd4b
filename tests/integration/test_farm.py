"""The main flow with a real pool and a real store: the host's actor is killed in mid-round, a device fails."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.farm_kit import Quiet

from lutfarm.agent_pool.ray.pool import RayPool
from lutfarm.execution.run_job import Farm
from lutfarm.store import open_store
from lutfarm.submission import submit
from lutfarm_agents import process_identity
from lutfarm_agents.address import LocalAddress
from lutfarm_agents.device import Device
from lutfarm_jobs.spec import parse_job

OPERATORS = [f"conv_H14_W14_Cin8_Cout{width}_k3_s1_g1_relu" for width in (8, 16, 24, 32)]
JOB = {
    "name": "killed",
    "workloads": [{"operators": OPERATORS}],
    "devices": ["desk"],
    "backends": [{"runtime": "onnxruntime"}],
    "sampling": {"rounds": 6, "passes": 40},
}


@pytest.mark.timeout(240)
def test_killing_the_hosts_actor_in_mid_round_loses_no_committed_run_and_the_job_completes(tmp_path: Path) -> None:
    with open_store(tmp_path / "home") as store:
        store.put_device(Device("desk", f"generic-linux-{os.uname().machine}", "local", LocalAddress()))
        submitted, sources = submit.submit(parse_job(JOB, source="job"), tmp_path, store)
        pool = RayPool.start(state_dir=tmp_path / "agents", measured_cpus=frozenset())
        killed: list[int] = []

        def kill_twice() -> None:
            """Once after the first runs were committed, once more later."""
            for least in (1, 9):
                end_s = time.monotonic() + 100
                while time.monotonic() < end_s:
                    with open_store(tmp_path / "home") as reader:
                        if sum(counts.runs for _, counts in reader.jobs()) >= least:
                            break
                    time.sleep(0.05)
                for pid in pool.host_pids().values():
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)

        killer = threading.Thread(target=kill_twice)
        try:
            farm = Farm(store, pool, tmp_path / "models", str(process_identity.me()), "a test")
            killer.start()
            outcome = farm.run(submitted, sources, Quiet())
            killer.join(timeout=120)
        finally:
            pool.close()
        runs = list(store.runs(outcome.job_id))
    assert len(set(killed)) == 2
    complete = Counter(run.key for run in runs if run.status == "complete")
    assert complete == dict.fromkeys([m.key for m in submitted.plan], 6)
    assert len({run.id for run in runs}) == len(runs)
    assert outcome.missing == ()
