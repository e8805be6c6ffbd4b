"""What the commands do, called from Python: values in, values out, nothing printed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests import pool_kit as kit

from lutfarm.demo.steps import DEVICE, demo_spec, draw_networks, paced, register_this_machine
from lutfarm.demo.time_budget import NETWORKS, Clock
from lutfarm.devices import health_check, maintenance
from lutfarm.devices.health_check import Checked, NotChecked, check_devices, in_use
from lutfarm.devices.registration import Wanted, register
from lutfarm.execution.host_load import Load
from lutfarm.execution.why_job import why_job
from lutfarm.home import Home
from lutfarm.records.device_state import DeviceEvent
from lutfarm.records.job import Job
from lutfarm.scheduling.unit import Unit
from lutfarm.store import Store, open_store
from lutfarm.store.interface import job_called
from lutfarm.submission import submit
from lutfarm.submission.submission import Submission
from lutfarm_agents.device import Device
from lutfarm_jobs.errors import LeaseLost, SpecError, StoreError


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def store(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    kit.write_profile(tmp_path / "config", tmp_path / "device.lock")
    with open_store(home.path) as found:
        yield found


def stored(submitted: Submission) -> Job:
    spec = submitted.spec
    return Job(spec.id, spec.name, spec.model_dump_json(), time.time(), zeros=submitted.zeros)


def never(_: object) -> None:
    raise AssertionError("nobody is to be told of anything")


def test_a_device_is_registered_checked_held_and_retired(store: Store, home: Home) -> None:
    said: list[str] = []
    found = register(Wanted("desk", local=True, profile=kit.PROFILE), store, home, say=said.append)
    again = register(Wanted("same", local=True, profile=kit.PROFILE), store, home, say=said.append)
    assert found.twins == ()
    assert again.twins == ("desk",)
    assert any("same is the same hardware as desk" in remark for remark in again.remarks())
    assert store.device("desk") == found.device
    assert found.hello.cpus

    told: list[Checked | NotChecked] = []
    checked = check_devices(in_use(store, time.time()), store, home, waiting=lambda *_: None, tell=told.append)
    assert told == checked
    assert [one.report.device for one in checked if isinstance(one, Checked)] == ["desk", "same"]

    assert maintenance.hold(store, "desk", "its fan is loose", time.time()).state == "maintenance"
    assert maintenance.release(store, "desk", time.time()).state == "ready"
    assert maintenance.retire(store, "desk", time.time()).state == "retired"
    assert in_use(store, time.time()) == ["same"]
    with pytest.raises(SpecError, match="no device is registered as 'dusk'"):
        maintenance.hold(store, "dusk", "why", time.time())


@pytest.mark.parametrize("name", ["", "../up", "two words", "x" * 81])
def test_a_name_that_no_job_could_write_is_refused_before_the_device_is_asked(store: Store, home: Home, name: str) -> None:
    with pytest.raises(SpecError, match="can't be a device's name"):
        register(Wanted(name, local=True), store, home, say=never)
    assert not store.devices()


def test_one_device_that_can_not_be_looked_at_keeps_no_other_from_it(store: Store, home: Home) -> None:
    register(Wanted("desk", local=True, profile=kit.PROFILE), store, home, say=lambda _: None)
    maintenance.retire(store, "desk", time.time())
    register(Wanted("same", local=True, profile=kit.PROFILE), store, home, say=lambda _: None)
    retired, looked = check_devices(["desk", "same"], store, home, waiting=lambda *_: None, tell=lambda _: None)
    assert isinstance(retired, NotChecked)
    assert retired.device == "desk"
    assert isinstance(retired.error, SpecError)
    assert isinstance(looked, Checked)
    assert looked.report.device == "same"


def test_a_lease_that_is_lost_ends_the_check_of_its_device_alone(
    store: Store, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("desk", "same"):
        register(Wanted(name, local=True, profile=kit.PROFILE), store, home, say=lambda _: None)
    look = health_check.check_device

    def lost(device: Device, *args: Any, **named: Any) -> Any:
        if device.name == "desk":
            raise LeaseLost("desk: the lease passed to another")
        return look(device, *args, **named)

    monkeypatch.setattr(health_check, "check_device", lost)
    missed, looked = check_devices(["desk", "same"], store, home, waiting=lambda *_: None, tell=lambda _: None)
    assert isinstance(missed, NotChecked)
    assert (missed.device, type(missed.error)) == ("desk", LeaseLost)
    assert isinstance(looked, Checked)

    def broken(device: Device, *_args: Any, **_named: Any) -> Any:
        raise StoreError(f"the disk is full at {device.name}")

    monkeypatch.setattr(health_check, "check_device", broken)
    with pytest.raises(StoreError, match="the disk is full at desk"):
        check_devices(["desk", "same"], store, home, waiting=lambda *_: None, tell=lambda _: None)


def test_a_job_that_nobody_ran_is_named_in_the_refusal(store: Store) -> None:
    with pytest.raises(SpecError, match="no job is called 'nightly'; see lutfarm job list"):
        why_job(store, "nightly", time.time())


def test_why_a_job_waits_is_a_value(store: Store, home: Home, tmp_path: Path) -> None:
    register_this_machine(store, home)
    submitted, _ = submit.submit(demo_spec(), tmp_path, store)
    maintenance.hold(store, DEVICE, "its fan is loose", time.time())
    store.open_job(stored(submitted), submitted.plan)
    job, rows = why_job(store, submitted.spec.name, time.time())
    assert job == job_called(store, submitted.spec.id)[0]
    (row,) = rows
    assert (row.device, row.state, row.done, row.failed, row.left) == (DEVICE, "maintenance", 0, 0, len(submitted.plan))
    assert "lutfarm device release this-machine" in row.next


def test_a_demonstration_without_time_draws_no_network_and_says_so(store: Store, home: Home, tmp_path: Path) -> None:
    register_this_machine(store, home)
    submitted, _ = submit.submit(demo_spec(), tmp_path, store)
    store.open_job(stored(submitted), submitted.plan)
    late = Clock(began_s=time.time() - 3600, minutes=3, load=Load(2, 0.0))
    drawn = draw_networks(store, submitted.spec.id, late)
    assert drawn.spec is None
    assert drawn.networks < NETWORKS
    assert drawn.why_not.endswith("give --minutes more")


def test_after_operators_were_measured_their_rounds_say_how_fast_the_machine_is() -> None:
    clock = Clock(began_s=0.0, minutes=3, load=Load(2, 0.0))
    units = [Unit("a"), Unit("b")]
    assert paced(clock, units).pace is None
    assert paced(clock, [replace(units[0], rounds_due_s=10.0, rounds_took_s=34.0), units[1]]).pace == 3.0


def test_registering_again_keeps_what_a_person_holds_and_moves_nothing_unasked(store: Store, home: Home) -> None:
    said: list[str] = []
    register(Wanted("desk", local=True, profile=kit.PROFILE), store, home, say=said.append)
    store.step_device("desk", DeviceEvent("held", "its fan broke"), time.time())
    register(Wanted("desk", local=True, profile=kit.PROFILE), store, home, say=said.append)
    record = store.device_record("desk", time.time())
    assert (record.state, record.reason) == ("maintenance", "its fan broke")
    assert any("stays in maintenance: its fan broke" in text for text in said)
    with pytest.raises(SpecError, match=r"registered on the host local; .* say --move"):
        register(Wanted("desk", local=True, profile=kit.PROFILE, host="bench"), store, home, say=said.append)
    moved = register(Wanted("desk", local=True, profile=kit.PROFILE, host="bench", move=True), store, home, say=said.append)
    assert moved.device.host == "bench"
    assert store.device_record("desk", time.time()).state == "maintenance"
