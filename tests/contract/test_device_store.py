"""What every store keeps of devices: what they are, how they are, what checks found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.store_kit import DESK, HELLO

from lutfarm.records.device_state import DeviceEvent, DeviceRecord
from lutfarm.records.lease_holder import LeaseHolder
from lutfarm.store import Store
from lutfarm_agents.health.check import HealthReport, Reference
from lutfarm_agents.health.findings import Finding
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.round import Lease
from lutfarm_jobs.run import Environment


def test_devices_come_back_as_they_went_in(store: Store) -> None:
    assert store.device("desk") is None
    store.put_device(DESK)
    assert store.hello("desk") is None
    store.put_hello("desk", HELLO, 5.0)
    assert store.device("desk") == DESK
    assert store.hello("desk") == (HELLO, 5.0)
    store.put_device(replace(DESK, labels={"room": "b"}))
    assert [device.labels for device in store.devices()] == [{"room": "b"}]
    assert store.hello("desk") == (HELLO, 5.0)


def test_waits_for_heat_are_counted(store: Store) -> None:
    for at, kind in enumerate(["too hot", "too hot", "cooled", "too hot", "cooled"]):
        store.step_device("desk", DeviceEvent(kind, f"{80 + at} C", until_s=1e9), 10.0 * at + 1)  # type: ignore[arg-type]
    assert store.heat_waits("desk") == 2
    assert store.heat_waits("other") == 0


def test_a_hello_comes_back_with_its_environment(store: Store) -> None:
    store.put_device(DESK)
    hello = replace(HELLO, environment=Environment(5.0, temperature_c=41.5, battery_percent=80.0, battery_charging=True))
    store.put_hello("desk", hello, 5.0)
    assert store.hello("desk") == (hello, 5.0)


def test_a_device_that_nothing_happened_to_is_new(store: Store) -> None:
    assert store.device_record("desk", 1.0) == DeviceRecord("desk", "new")
    assert store.device_history("desk") == []
    assert store.checks("desk") == []
    assert store.lease_holder("desk", 1.0) is None


def test_what_happens_to_a_device_is_kept_with_its_reasons(store: Store, reopen: Callable[[], Store]) -> None:
    for at, event in enumerate(
        [
            DeviceEvent("registered"),
            DeviceEvent("seen", boot_id="b1"),
            DeviceEvent("seen", boot_id="b2"),
            DeviceEvent("device failed", "NotReady: <b>'; --", code="NotReady"),
            DeviceEvent("device failed", "NotReady: <b>'; --", code="NotReady"),
            DeviceEvent("link lost", "gone"),
            DeviceEvent("check failed", "hot"),
            DeviceEvent("check passed"),
        ]
    ):
        store.step_device("desk", event, 10.0 + at)
    store.step_device("other", DeviceEvent("held", "fan"), 30.0)
    store.step_device("third", DeviceEvent("device failed", "another key", code="RegistrationStale"), 30.0)
    again = reopen()
    record = again.device_record("desk", 40.0)
    assert record == DeviceRecord("desk", "ready", "", 17.0, None, 17.0, True, "b2", ())
    assert [(t.at_s, t.event, t.before, t.after, t.reason) for t in again.device_history("desk")] == [
        (13.0, "device failed", "new", "quarantined", "NotReady: <b>'; --"),
        (16.0, "check failed", "quarantined", "quarantined", "hot"),
        (17.0, "check passed", "quarantined", "ready", ""),
    ]
    assert [t.at_s for t in again.device_history("desk", most=1)] == [17.0]
    assert again.device_record("other", 40.0).reason == "fan"
    assert again.device_record("third", 40.0).code == "RegistrationStale"


def test_a_refused_step_changes_nothing(store: Store) -> None:
    held = store.step_device("desk", DeviceEvent("held", "new fan"), 5.0)
    with pytest.raises(SpecError, match=r"desk is maintenance .new fan."):
        store.step_device("desk", DeviceEvent("lease taken", "a job"), 6.0)
    assert store.device_record("desk", 7.0) == held
    assert len(store.device_history("desk")) == 1


def test_a_device_is_busy_only_while_a_lease_is_in_force(store: Store, lease: Lease) -> None:
    store.step_device("desk", DeviceEvent("lease taken", "ann"), 100.0)
    assert store.lease_holder("desk", 101.0) == LeaseHolder("ann", lease.expires_s)
    assert store.device_record("desk", 101.0).state == "busy"
    ended = store.device_record("desk", lease.expires_s + 1)
    assert (ended.state, ended.reason) == ("ready", "whoever held it ended without a word")
    store.release(lease)
    assert store.lease_holder("desk", 101.0) is None
    assert store.device_record("desk", 101.0).state == "ready"
    assert store.step_device("desk", DeviceEvent("registered"), 102.0).state == "new"


def test_reboots_are_counted_across_processes(store: Store, reopen: Callable[[], Store]) -> None:
    for at in range(4):
        reopen().step_device("desk", DeviceEvent("seen", boot_id=f"boot {at}"), 100.0 + at)
    record = store.device_record("desk", 110.0)
    assert record.state == "quarantined"
    assert "anew 3 times" in record.reason


def test_checks_come_back_as_they_went_in(store: Store) -> None:
    reports = [
        HealthReport(
            "desk",
            float(at),
            (
                Finding("temperature", 41.5, "C", "ok", "cool"),
                Finding("battery", None, "%", "ok", "none"),
                Finding("runtime x", "x 1.0", "", "fail" if at == 2 else "ok", "found", "install"),
            ),
            (Reference("onnxruntime-cpu-t1-fp32", "ab", 70_000 + at, "ok"),),
            "boot",
        )
        for at in range(3)
    ]
    for report in reports:
        store.put_check(report)
    store.put_check(replace(reports[0], device="other"))
    assert store.checks("desk") == reports
    assert store.checks("desk", most=2) == reports[1:]
    assert [report.fit for report in store.checks("desk")] == [True, True, False]
