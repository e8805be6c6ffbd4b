"""`lutfarm plan` over a real store: what it says, and that it changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests import store_kit as kit

from lutfarm.store import open_store
from lutfarm_agents.address import LocalAddress
from lutfarm_agents.device import Device

LUTFARM = str(Path(sys.executable).with_name("lutfarm"))
JOB = """
name: small
workloads:
  - operators: [{operators}]
devices: [desk]
backends: [{{runtime: onnxruntime}}]
sampling: {{rounds: {rounds}, stop: rounds}}
"""
Plan = Callable[..., dict[str, Any]]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Of a job with so many operators and rounds, as JSON."""
    with open_store(tmp_path / "home") as store:
        store.put_device(Device("desk", f"generic-linux-{os.uname().machine}", "local", LocalAddress()))
        store.put_hello("desk", kit.HELLO, time.time())

    def go(*words: str, operators: int = 4, rounds: int = 4) -> dict[str, Any]:
        names = ", ".join(f"conv_H14_W14_Cin8_Cout{8 * (n + 1)}_k1_s1_g1_relu" for n in range(operators))
        (tmp_path / "job.yaml").write_text(JOB.format(operators=names, rounds=rounds))
        command = [LUTFARM, "plan", str(tmp_path / "job.yaml"), "--home", str(tmp_path / "home"), "--json", *words]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return go


def test_it_says_a_range_with_its_parts_and_stores_nothing(plan: Plan, tmp_path: Path) -> None:
    said = plan()
    assert said["devices"] == [{"device": "desk", "measurements": 4, "to measure": 4, "own runs": 0, "reused runs": 0}]
    assert 0 < said["wall_s"][0] < said["wall_s"][1]
    for end in (0, 1):
        assert sum(part[end] for part in said["parts_s"].values()) == pytest.approx(said["wall_s"][end], abs=0.4)
        assert said["held_s"][end] < said["wall_s"][end]
    with open_store(tmp_path / "home") as store:
        assert store.jobs() == []


def test_more_rounds_take_longer_and_a_farm_without_ray_starts_sooner(plan: Plan) -> None:
    few, many = plan(rounds=2), plan(rounds=20)
    assert many["parts_s"]["rounds"][0] > few["parts_s"]["rounds"][0]
    assert plan("--executor", "local")["parts_s"]["start and end"][0] < few["parts_s"]["start and end"][0]


def test_a_pool_that_is_none_is_refused(plan: Plan, tmp_path: Path) -> None:
    plan()
    command = [LUTFARM, "plan", str(tmp_path / "job.yaml"), "--home", str(tmp_path / "home"), "--executor", "rays"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "neither ray nor local" in done.stderr
