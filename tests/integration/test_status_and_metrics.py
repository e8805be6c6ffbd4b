"""`lutfarm status` and `lutfarm metrics`, over a real store; the metrics are read by Prometheus's own promtool."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from tests import store_kit as kit
from tests.pool_kit import PROFILE, write_profile
from tests.rig.arm64 import unpacked
from tests.rig.machine import until
from tests.rig.phone import cache

from lutfarm.monitoring.device_status import devices_status, runs_left
from lutfarm.monitoring.prometheus import FarmCollector, quality
from lutfarm.records.device_state import DeviceEvent
from lutfarm.store import Store, open_store
from lutfarm_jobs.round import Lease
from lutfarm_jobs.run import Environment, Failure

KEYS = [m.key for m in kit.PLAN]
SPEC = """{"name": "job", "workloads": [{"operators": ["conv_H14_W14_Cin8_Cout8_k1_s1_g1_relu"]}], "devices": ["desk"],
"backends": [{"runtime": "onnxruntime"}]}"""
LUTFARM = str(Path(sys.executable).with_name("lutfarm"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "home") as found:
        yield found


@pytest.fixture
def lease(store: Store) -> Lease:
    store.put_device(kit.DESK)
    store.open_job(kit.JOB, kit.PLAN)
    found = store.acquire("desk", owner=kit.OWNER, holder="ann", now_s=time.time(), ttl_s=60.0)
    assert isinstance(found, Lease)
    return found


def families(text: str) -> dict[tuple[str, ...], float]:
    found: dict[tuple[str, ...], float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name, *(f"{k}={v}" for k, v in sorted(sample.labels.items()))] = sample.value
    return found


def scrape(collector: FarmCollector) -> dict[tuple[str, ...], float]:
    registry = CollectorRegistry()
    registry.register(collector)
    return families(generate_latest(registry).decode())


def test_what_a_device_does_is_said(store: Store, lease: Lease) -> None:
    now_s = time.time()
    hot = Environment(time_s=now_s, temperature_c=61.5)
    runs = [
        replace(
            kit.run(KEYS[0], round_id=f"{n:032x}", started_s=now_s - 40 + 10 * n),
            id=f"{n:032x}",
            ended_s=now_s - 30 + 10 * n,
            after=hot,
        )
        for n in range(3)
    ]
    store.commit(runs, lease, "job-1")
    store.step_device("desk", DeviceEvent("held", "a new fan"), now_s)
    (found,) = devices_status(store, now_s)
    assert (found.device, found.state, found.reason) == ("desk", "maintenance", "a new fan")
    assert found.temperature_c == 61.5
    assert found.seen_s == pytest.approx(now_s - 10)
    assert found.checked_s is None
    assert found.canary_drift is not None


def test_a_device_between_two_orders_says_until_when_it_rests(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    write_profile(tmp_path / "config", tmp_path / "lock", more="cooldown_s: 30\n")
    store.put_device(replace(kit.DESK, profile=PROFILE))
    job = replace(kit.JOB, spec_json=SPEC)
    store.open_job(job, kit.PLAN)
    now_s = time.time()
    held = store.acquire("desk", owner=kit.OWNER, holder="ann", now_s=now_s, ttl_s=60.0, job_id=job.id)
    assert isinstance(held, Lease)
    store.commit([replace(kit.run(started_s=now_s - 20), ended_s=now_s - 10)], held, "job-1")
    assert devices_status(store, now_s)[0].rests_until_s == pytest.approx(now_s + 20)
    assert devices_status(store, now_s + 25)[0].rests_until_s is None
    store.put_device(replace(kit.DESK, profile="no-such-profile"))
    assert devices_status(store, now_s)[0].rests_until_s is None


def test_runs_left_counts_what_is_neither_done_nor_failed() -> None:
    counts = {KEYS[0]: {"complete": 2, "truncated": 9}, KEYS[1]: {"failed": 1}}
    assert runs_left(kit.PLAN, counts, 5) == 3 + 5 * (len(kit.PLAN) - 2)


def test_how_far_the_canary_is_from_its_reference_is_said(store: Store, lease: Lease) -> None:
    began_s = time.time() - 2000
    for n, level in enumerate([*[1000] * 16, *[1300, 1350, 1320, 1310]]):
        piece = replace(kit.SLICE, canary_before_ns=level, canary_after_ns=level)
        one = replace(kit.run(round_id=f"{n:032x}", started_s=began_s + 60 * n, slices=(piece,)), id=f"{n:032x}")
        store.commit([one], lease, "job-1")
    (found,) = devices_status(store, time.time())
    assert (found.canary_drift, found.canary_settled) == (pytest.approx(1.31), pytest.approx(1.3))
    assert found.canary_provisional is False
    assert found.canary_since_s == pytest.approx(began_s)
    shown = scrape(FarmCollector(store))
    assert shown["lutfarm_canary_drift_ratio", "device=desk"] == pytest.approx(1.31)
    assert shown["lutfarm_canary_settled_ratio", "device=desk"] == pytest.approx(1.3)
    assert shown["lutfarm_canary_provisional", "device=desk"] == 0
    assert shown["lutfarm_heat_waits_total", "device=desk"] == 0


def test_a_device_without_runs_has_no_canary(store: Store) -> None:
    store.put_device(kit.DESK)
    (found,) = devices_status(store, time.time())
    assert (found.canary_drift, found.canary_settled, found.canary_provisional, found.canary_since_s) == (None,) * 4


def test_the_history_of_the_reference_is_shown(store: Store, lease: Lease, tmp_path: Path) -> None:
    for n in range(20):
        level, version = (1000, "1.31") if n < 17 else (1400, "1.32")
        piece = replace(kit.SLICE, canary_before_ns=level, canary_after_ns=level)
        fingerprint = {"runtime": f"onnxruntime {version}"}
        one = kit.run(round_id=f"{n:032x}", started_s=60.0 * n, slices=(piece,), fingerprint=fingerprint)
        store.commit([replace(one, id=f"{n:032x}")], lease, "job-1")
    command = [LUTFARM, "device", "show", "desk", "--home", str(tmp_path / "home")]
    shown = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"}, check=True, timeout=120)
    place = r"onnxruntime-cpu-t1-fp32\tb1-steady"
    assert re.search(rf"1 us\t17\testablished\t{place}\tfirst contact", shown.stdout)
    change = r"another canary\truntime onnxruntime 1\.31 -> onnxruntime 1\.32"
    assert re.search(rf"1\.4 us\t3\tprovisional\t{place}\t{change}", shown.stdout)
    listed = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, check=True, timeout=120).stdout)
    (found,) = listed["canaries"]
    assert (found["backend"], found["conditions"], found["last_ratio"]) == (kit.PLAN[0].backend.key, "b1-steady", 1.0)
    assert [epoch["reference_ns"] for epoch in found["epochs"]] == [1000, 1400]


def test_runs_are_counted_once_however_often_one_looks(store: Store, lease: Lease) -> None:
    collector = FarmCollector(store)
    assert ("lutfarm_runs_total", "device=desk", "quality=provisional") not in scrape(collector)
    store.commit([kit.run()], lease, "job-1")
    for _ in range(3):
        found = scrape(collector)
    assert found["lutfarm_runs_total", "device=desk", "quality=provisional"] == 1
    failed = replace(kit.run(KEYS[1], status="failed", round_id="f" * 32), id="f" * 32, failure=Failure("OutOfMemory", "40 GB"))
    store.commit([failed], lease, "job-1")
    found = scrape(collector)
    assert found["lutfarm_runs_total", "device=desk", "quality=failed"] == 1
    assert found["lutfarm_failures_total", "device=desk", "reason=OutOfMemory"] == 1
    states = {k[3]: v for k, v in found.items() if k[0] == "lutfarm_device_state"}
    assert sum(states.values()) == 1


def test_a_run_that_arrives_late_is_counted(store: Store, lease: Lease) -> None:
    """A round's runs come at its end: another that began later may have been counted before."""
    collector = FarmCollector(store)
    now_s = time.time()
    store.commit([replace(kit.run(round_id="a" * 32, started_s=now_s), id="a" * 32)], lease, "job-1")
    scrape(collector)
    store.commit([replace(kit.run(round_id="b" * 32, started_s=now_s - 600), id="b" * 32)], lease, "job-1")
    assert scrape(collector)["lutfarm_runs_total", "device=desk", "quality=provisional"] == 2


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"status": "failed"}, "failed"),
        ({"status": "truncated"}, "truncated"),
        ({"throttled": True}, "throttled"),
        ({"reference_provisional": True}, "provisional"),
        ({"reference_provisional": False}, "good"),
        ({"reference_provisional": False, "slices_rejected": 3, "canary_reference_ns": 5}, "contended"),
    ],
)
def test_each_run_has_one_quality(changes: dict[str, object], word: str) -> None:
    assert quality(replace(kit.run(), **changes)) == word


def test_promtool_finds_nothing_to_say(store: Store, lease: Lease, tmp_path: Path) -> None:
    store.commit([kit.run()], lease, "job-1")
    text = subprocess.run(
        [LUTFARM, "metrics", "--once", "--home", str(tmp_path / "home")], capture_output=True, check=True, timeout=120
    ).stdout
    arch = subprocess.check_output(["dpkg", "--print-architecture"], text=True, timeout=60).strip()
    promtool = unpacked(cache() / "promtool-1", arch, "prometheus") / "usr" / "bin" / "promtool"
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, timeout=60, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_metrics_are_served_until_ctrl_c_and_a_taken_port_is_said(store: Store, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [LUTFARM, "metrics", "--listen", address, "--home", str(tmp_path / "home")]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    try:

        def answers() -> bool:
            try:
                with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as page:
                    return b"lutfarm_jobs" in page.read()
            except OSError:
                return False

        until(answers, "the metrics are served")
        second = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert second.returncode == 2
        assert "is another lutfarm metrics running?" in second.stderr
        server.send_signal(signal.SIGINT)
        assert server.stderr is not None
        said = server.stderr.read().decode()
        assert server.wait(30) == 130
        assert "metrics are no longer served" in said
        assert "the same command goes on" not in said
    finally:
        server.kill()
        server.communicate()


@pytest.mark.parametrize(
    ("host", "said"),
    [("host.invalid", "name this machine, or an address of it"), ("192.0.2.1", "this machine has no such address")],
)
def test_an_address_that_metrics_can_not_be_served_on_is_told_from_a_taken_port(tmp_path: Path, host: str, said: str) -> None:
    open_store(tmp_path / "home").close()
    command = [LUTFARM, "metrics", "--listen", f"{host}:9464", "--home", str(tmp_path / "home")]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert "another lutfarm metrics" not in refused.stderr


@pytest.mark.parametrize("address", ["", ":", "x", "127.0.0.1:99999", "127.0.0.1:-1", "$(id):1"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, address: str) -> None:
    command = [LUTFARM, "metrics", "--listen", address, "--home", str(tmp_path)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert refused.returncode == 2
    assert "is not HOST:PORT" in refused.stderr


def test_status_as_a_user_sees_it(store: Store, lease: Lease, tmp_path: Path) -> None:
    store.commit([kit.run()], lease, "job-1")
    environment = {**os.environ, "COLUMNS": "200"}
    shown = subprocess.run(
        [LUTFARM, "status", "--home", str(tmp_path / "home")],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
        timeout=120,
    ).stdout
    assert re.search(r"desk\t\w+", shown)
    listed = json.loads(
        subprocess.run(
            [LUTFARM, "status", "--json", "--home", str(tmp_path / "home")],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
    )
    assert listed[0]["device"] == "desk"
