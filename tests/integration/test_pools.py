"""Pools of scripted devices with known latencies and device effects, through the farm, the store and the table."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.integration.test_farm import Quiet

from lutfarm.agent_pool.local import LocalPool
from lutfarm.execution.run_job import Farm, JobOutcome
from lutfarm.records.device_state import DeviceEvent
from lutfarm.results.job_table import table_of
from lutfarm.store import Store, open_store
from lutfarm.submission import submit
from lutfarm_agents import process_identity
from lutfarm_agents.address import LocalAddress
from lutfarm_agents.device import Device
from lutfarm_agents.testing import HELLO, Script, ScriptedAgents
from lutfarm_jobs.errors import DevicesDiffer, SpecError
from lutfarm_jobs.measurement import Backend, Measurement, Workload
from lutfarm_jobs.spec import JobSpec, parse_job

PROFILE = f"generic-linux-{os.uname().machine}"
POOL = f"pool:{PROFILE}"
EFFECTS = {"u1": 0.03, "u2": -0.04, "u3": 0.01}
OPERATORS = [f"conv_H8_W8_Cin4_Cout{4 * width}_k3_s1_g1_relu" for width in range(1, 19)]
TRUTH_NS = {name: 200_000 * 1.12**number for number, name in enumerate(OPERATORS)}
MEAN = sum(EFFECTS.values()) / len(EFFECTS)


def key(name: str, device: str) -> str:
    return Measurement(Workload("operator", name), device, Backend("onnxruntime")).key


def job(**pool: Any) -> JobSpec:
    return parse_job(
        {
            "name": "pool",
            "workloads": [{"operators": OPERATORS}],
            "devices": [{"profile": PROFILE, **pool}],
            "backends": [{"runtime": "onnxruntime"}],
            "sampling": {"rounds": 2, "passes": 4},
        },
        source="job.yaml",
    )


SHARE = {"replicate": "share", "anchors": 6}


def scripts(effects: Mapping[str, float] = EFFECTS, *, noise: float = 0.002) -> dict[str, Script]:
    """Devices of separate hardware; `noise` is how much an operator's device effect differs from the device's."""
    random = np.random.default_rng(7)
    return {
        device: Script(
            latencies_ns={
                key(name, device): round(base_ns * math.exp(effect + noise * random.standard_normal()))
                for name, base_ns in TRUTH_NS.items()
            },
            hello=replace(HELLO, machine_id=f"{position:032x}"),
        )
        for position, (device, effect) in enumerate(effects.items(), start=1)
    }


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "home") as opened:
        for device in EFFECTS:
            opened.put_device(Device(device, PROFILE, "local", LocalAddress()))
        yield opened


def run(spec: JobSpec, store: Store, folder: Path, played: Mapping[str, Script]) -> JobOutcome:
    submitted, sources = submit.submit(spec, folder, store)
    pool = LocalPool(state_dir=folder / "agents", agent_factory=ScriptedAgents(played))
    try:
        return Farm(store, pool, folder / "models", str(process_identity.me()), "a test").run(submitted, sources, Quiet())
    finally:
        pool.close()


def measured_by(store: Store, job_id: str) -> dict[str, set[str]]:
    """By operator: the devices that have runs of it."""
    found: dict[str, set[str]] = {}
    for one in store.runs(job_id, samples=False):
        found.setdefault(one.key.split("/")[1].partition(":")[2], set()).add(one.device)
    return found


def test_devices_that_share_measure_each_operator_once_and_the_table_gives_the_mean_device(store: Store, tmp_path: Path) -> None:
    store.step_device("u2", DeviceEvent("check passed"), time.time())
    outcome = run(job(**SHARE), store, tmp_path, scripts())
    assert outcome.missing == ()
    places = measured_by(store, outcome.job_id)
    assert sorted(places) == sorted(OPERATORS)
    assert sorted(len(devices) for devices in places.values()) == [1] * 12 + [3] * 6
    table = table_of(store, outcome.job_id, pool=PROFILE)
    (facts,) = table.manifest.pools
    for effect in facts.effects:
        # Six anchors with 0.2 % of noise each: four standard errors of an effect are 0.3 %.
        assert math.log(effect.factor) == pytest.approx(EFFECTS[effect.device] - MEAN, abs=0.003)
        assert 0 < effect.log_error < 0.003
        assert effect.anchors == 6
    mine = {entry.workload.partition(":")[2]: entry for entry in table.entries if entry.device == POOL}
    assert mine.keys() == TRUTH_NS.keys()
    for name, entry in mine.items():
        truth_ns = TRUTH_NS[name] * math.exp(MEAN)
        assert entry.estimate == pytest.approx(truth_ns, rel=0.012)
        assert entry.scope.endswith("mean device of the pool")
        assert entry.low < entry.estimate < entry.high  # type: ignore[operator]
    own = {entry.key for entry in table.entries if entry.device != POOL}
    assert own == {entry.key for entry in table_of(store, outcome.job_id).entries}
    assert len(own) == 12 + 3 * 6


def test_devices_that_replicate_have_a_variance_between_them_in_the_table(store: Store, tmp_path: Path) -> None:
    outcome = run(job(), store, tmp_path, scripts(noise=0.0))
    assert all(devices == set(EFFECTS) for devices in measured_by(store, outcome.job_id).values())
    table = table_of(store, outcome.job_id, pool=PROFILE).select(device=POOL)
    assert len(table) == len(OPERATORS)
    for entry in table.entries:
        assert entry.scope == "devices"
        truth_ns = TRUTH_NS[entry.workload.partition(":")[2]] * math.exp(MEAN)
        assert entry.estimate == pytest.approx(truth_ns, rel=1e-4)
        assert entry.between_spread == pytest.approx(np.std(list(EFFECTS.values()), ddof=1), rel=1e-3)
        assert entry.rounds == 6
    assert {facts.device for facts in table.manifest.devices} == set(EFFECTS)


def test_devices_that_differ_by_more_than_the_job_allows_are_not_merged(store: Store, tmp_path: Path) -> None:
    outcome = run(job(**SHARE), store, tmp_path, scripts({"u1": 0.0, "u2": 0.25, "u3": 0.02}))
    with pytest.raises(DevicesDiffer) as refused:
        table_of(store, outcome.job_id, pool=PROFILE)
    assert "u2 x1.1" in refused.value.detail
    assert "max_device_spread is 10 %" in refused.value.detail
    assert len(table_of(store, outcome.job_id)) == 12 + 3 * 6


def test_the_work_of_a_device_that_fails_goes_to_the_others_and_waits_for_nobody(store: Store, tmp_path: Path) -> None:
    played = scripts()
    played["u2"] = replace(played["u2"], errors={"mid-round": ("NotReady", "u2: 70 C is above 55 C; let it cool")})
    outcome = run(job(**SHARE), store, tmp_path, played)
    assert outcome.units["u2"].quarantined
    assert {name for name, devices in measured_by(store, outcome.job_id).items() if devices - {"u2"}} == set(OPERATORS)
    assert outcome.missing
    assert all("/u2/" in missing for missing in outcome.missing)
    assert len(outcome.missing) <= 6
    table = table_of(store, outcome.job_id, pool=PROFILE)
    assert len(table.select(device=POOL)) == len(OPERATORS)
    assert table.manifest.missing == ()

    # The device is well again: the same job measures its anchors, and nothing that others have done.
    before = measured_by(store, outcome.job_id)
    store.step_device("u2", DeviceEvent("check passed"), time.time())
    outcome = run(job(**SHARE), store, tmp_path, scripts())
    assert outcome.missing == ()
    after = measured_by(store, outcome.job_id)
    changed = {name for name in OPERATORS if before[name] != after[name]}
    assert all(after[name] == set(EFFECTS) for name in changed)
    effects = table_of(store, outcome.job_id, pool=PROFILE).manifest.pools[0].effects
    assert {e.device: math.log(e.factor) for e in effects} == {
        device: pytest.approx(effect - MEAN, abs=0.004) for device, effect in EFFECTS.items()
    }


def test_what_replicates_waits_for_the_device_that_fails(store: Store, tmp_path: Path) -> None:
    played = scripts()
    played["u2"] = replace(played["u2"], errors={"measure": ("NotReady", "u2 is hot")})
    outcome = run(job(), store, tmp_path, played)
    assert set(outcome.missing) == {key(name, "u2") for name in OPERATORS}
    table = table_of(store, outcome.job_id, pool=PROFILE).select(device=POOL)
    assert all("devices_left_out" in entry.flags for entry in table.entries)
    assert len(table) == len(OPERATORS)


def test_the_same_job_is_divided_alike_again_although_its_probes_are_known_now(store: Store, tmp_path: Path) -> None:
    first, _ = submit.submit(job(**SHARE), tmp_path, store)
    run(job(**SHARE), store, tmp_path, scripts())
    again, _ = submit.submit(job(**SHARE), tmp_path, store)
    assert again.plan == first.plan
    assert again.shares == first.shares


def test_a_device_that_left_leaves_its_finished_work_and_a_new_one_gets_anchors(store: Store, tmp_path: Path) -> None:
    outcome = run(job(**SHARE), store, tmp_path, scripts())
    store.step_device("u2", DeviceEvent("device failed", "NotReady: hot"), time.time())
    store.put_device(Device("u4", PROFILE, "local", LocalAddress()))
    submitted, _ = submit.submit(job(**SHARE), tmp_path, store)
    assert submitted.shares[0].units == ("u1", "u3", "u4")
    before = measured_by(store, outcome.job_id)
    outcome = run(job(**SHARE), store, tmp_path, scripts(EFFECTS | {"u4": 0.02}))
    after = measured_by(store, outcome.job_id)
    assert {name for name in OPERATORS if before[name] != after[name]} == {n for n in OPERATORS if len(before[n]) == 3}
    effects = table_of(store, outcome.job_id, pool=PROFILE).manifest.pools[0].effects
    assert {effect.device for effect in effects} == {"u1", "u2", "u3", "u4"}


def test_what_a_pool_lacks_is_said(store: Store, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no device of the profile raspberry-pi-9 is registered; profiles that have one"):
        submit.submit(
            parse_job(job().model_dump(mode="json") | {"devices": [{"profile": "raspberry-pi-9"}]}, source="j"), tmp_path, store
        )
    both = {"devices": ["u1", {"profile": PROFILE, "replicate": "share"}]}
    with pytest.raises(SpecError, match="u1 shares the work of its pool and is asked for by devices"):
        submit.submit(parse_job(job().model_dump(mode="json") | both, source="j"), tmp_path, store)
    for device in EFFECTS:
        store.step_device(device, DeviceEvent("device failed", "NotReady: hot"), time.time())
    with pytest.raises(SpecError, match=r"may be given work: u1 is quarantined \(NotReady: hot\), u2"):
        submit.submit(job(), tmp_path, store)
