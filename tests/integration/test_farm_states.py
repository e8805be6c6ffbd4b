"""A job and the states of its devices: a real store and pool, scripted devices."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest
from tests.farm_kit import Quiet
from tests.schedule_kit import begin, ordered

from lutfarm.agent_pool.interface import Done, Opened
from lutfarm.agent_pool.local import LocalPool
from lutfarm.devices.leases import lease
from lutfarm.execution import device_sync
from lutfarm.execution.run_job import Farm, JobOutcome
from lutfarm.records.device_state import DeviceEvent, DeviceRecord
from lutfarm.scheduling import retry
from lutfarm.scheduling.news import News
from lutfarm.scheduling.policy import Care, Cooling
from lutfarm.scheduling.turn import after_news
from lutfarm.store import Store, open_store
from lutfarm.submission import submit
from lutfarm_agents import factory, process_identity
from lutfarm_agents.address import LocalAddress
from lutfarm_agents.device import Device
from lutfarm_agents.factory import AgentKind
from lutfarm_agents.testing import HELLO, Script, ScriptedAgents
from lutfarm_jobs.registry import Registry
from lutfarm_jobs.run import Environment
from lutfarm_jobs.spec import parse_job

HOLDER = "a test: job small, process 1"
JOB = {
    "name": "small",
    "workloads": [{"operators": ["conv_H14_W14_Cin8_Cout8_k1_s1_g1_relu"]}],
    "devices": ["a", "b"],
    "backends": [{"runtime": "onnxruntime"}],
    "sampling": {"rounds": 3, "passes": 2},
}
PATIENCE_S = 60.0
THEIRS = AgentKind(lambda device: device.name == "b", ScriptedAgents({}))  # fits; the pool is given scripted ones all the same


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "home") as found:
        for name in ("a", "b"):
            found.put_device(Device(name, f"generic-linux-{os.uname().machine}", "local", LocalAddress()))
        yield found


Run = Callable[..., JobOutcome]


@pytest.fixture
def run(tmp_path: Path, store: Store) -> Run:
    """Run the job with these scripts; `a` and `b` do well unless told otherwise, and are machines of their own."""

    def go(
        cooling: Cooling | None = None, cooldown_s: float = 0.0, until_s: float | None = None, **scripts: Script
    ) -> JobOutcome:
        every = {
            name: replace(script, hello=replace(script.hello, machine_id=name))
            for name, script in {"a": Script(), "b": Script(), **scripts}.items()
        }
        submitted, sources = submit.submit(parse_job(JOB, source="job"), tmp_path, store)
        policies = {n: replace(t, care=Care(cooling, cooldown_s=cooldown_s)) for n, t in submitted.policies.items()}
        submitted = replace(submitted, policies=policies, until_s=until_s)
        with closing(LocalPool(state_dir=tmp_path / "agents", agent_factory=ScriptedAgents(every))) as pool:
            farm = Farm(store, pool, tmp_path / "models", str(process_identity.me()), HOLDER)
            return farm.run(submitted, sources, Quiet())

    return go


def state(store: Store, device: str) -> tuple[str, str]:
    record = store.device_record(device, time.time())
    return record.state, record.reason


def history(store: Store, device: str) -> list[tuple[str, str]]:
    return [(t.event, t.after) for t in store.device_history(device)]


def test_a_kind_that_rests_after_work_is_told_to_by_the_job(store: Store, run: Run) -> None:
    began_s = time.time()
    outcome = run(cooldown_s=0.05)
    assert (outcome.missing, outcome.left) == ((), ())
    assert all(unit.not_before_s > began_s for unit in outcome.units.values())


def test_devices_are_busy_with_the_job_and_ready_afterwards(store: Store, run: Run) -> None:
    outcome = run()
    assert (outcome.missing, outcome.left) == ((), ())
    for device in ("a", "b"):
        assert state(store, device) == ("ready", "")
        assert history(store, device) == [("lease taken", "busy"), ("lease ended", "ready")]
        assert store.device_history(device)[0].reason == HOLDER


def test_a_device_error_quarantines_in_the_store_and_the_others_go_on(store: Store, run: Run) -> None:
    outcome = run(b=Script(errors={"measure": ("NotReady", "its fan is off")}))
    assert state(store, "a") == ("ready", "")
    assert state(store, "b") == ("quarantined", "NotReady: its fan is off")
    assert [key.split("/")[2] for key in outcome.left] == ["b"]
    found = store.job(outcome.job_id)
    assert found is not None
    assert (found[0].state, found[0].reason) == ("open", "b was quarantined then: NotReady: its fan is off")


def test_a_device_whose_agent_of_another_package_is_broken_is_quarantined_and_the_others_go_on(
    store: Store, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = metadata.EntryPoint("theirs", "tests.integration.test_farm_states:THEIRS", "lutfarm.agents")

    def installed(**_: str) -> list[metadata.EntryPoint]:
        return [entry]

    monkeypatch.setattr(metadata, "entry_points", installed)
    own = {"runner": "lutfarm_agents.runner_agent:KIND"}
    monkeypatch.setattr(factory, "AGENTS", Registry("lutfarm.agents", "agent", AgentKind, own))
    outcome = run(b=Script(bug_at="measure"))
    assert [key.split("/")[2] for key in outcome.left] == ["b"]
    assert outcome.missing == outcome.left
    assert state(store, "a") == ("ready", "")
    became, reason = state(store, "b")
    assert became == "quarantined"
    assert reason.startswith("PluginRefused: the agent 'theirs', which ")
    assert "(entry point lutfarm.agents: theirs = " in reason


def test_a_quarantined_device_is_left_alone_until_it_passed_a_check(store: Store, run: Run) -> None:
    store.step_device("b", DeviceEvent("device failed", "NotReady: hot"), time.time())
    # Were it asked for anything, it would say so and be quarantined for another reason.
    outcome = run(b=Script(errors={"prepare": ("NotReady", "it was touched")}))
    assert outcome.units["b"].out == "quarantined"
    assert state(store, "b") == ("quarantined", "NotReady: hot")
    assert outcome.missing == outcome.left != ()
    store.step_device("b", DeviceEvent("check passed"), time.time())
    outcome = run()
    assert (outcome.missing, outcome.left) == ((), ())


@pytest.mark.parametrize("kind", ["held", "retired"])
def test_what_a_person_took_out_is_left_alone(store: Store, run: Run, kind: str) -> None:
    before = store.step_device("b", DeviceEvent(kind, "new fan"), time.time())  # type: ignore[arg-type]
    outcome = run(b=Script(errors={"prepare": ("NotReady", "it was touched")}))
    assert outcome.left
    assert (outcome.units["b"].out, outcome.units["b"].quarantined) == (before.state, "new fan")
    assert state(store, "b") == (before.state, "new fan")


def test_a_job_that_has_all_it_needs_of_a_held_device_is_complete(store: Store, run: Run) -> None:
    assert run().missing == ()
    store.step_device("b", DeviceEvent("held", "new fan"), time.time())
    outcome = run()
    assert (outcome.missing, outcome.left) == ((), ())
    found = store.job(outcome.job_id)
    assert found is not None
    assert found[0].state == "complete"


def test_a_link_that_failed_once_is_forgotten_when_the_session_is_open_again(store: Store) -> None:
    states = device_sync.UnitStates(store, HOLDER)
    begun = ordered(begin((), ["a"], rounds=1), "a", "o1").farm
    with lease(store, "a", owner=str(process_identity.me()), holder=HOLDER, waiting=lambda *_: None):
        assert states.begin(["a"]) == []
        failed = News([Done("o1", "a", ("ConnectFailed", "no route"))])
        states.tell(after_news(begun, failed, time.time() + 60).told, time.time())
        assert state(store, "a") == ("busy", "ConnectFailed: no route (attempt 1 of 5)")
        assert (store.device_record("a", time.time()).until_s or 0.0) > time.time()
        states.opened(Opened("o2", "a", HELLO), time.time())
        assert state(store, "a") == ("busy", HOLDER)
        assert store.device_record("a", time.time()).until_s is None


@pytest.mark.parametrize("code", ["LinkLost", "ConnectFailed", "DeviceLost"])
def test_a_link_that_stays_broken_is_a_lost_device_which_the_next_run_tries_again(
    store: Store, run: Run, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    monkeypatch.setattr(retry, "FIRST_DELAY_S", 0.01)
    outcome = run(b=Script(errors={"prepare": (code, "no route")}))
    assert state(store, "b") == ("lost", f"{code}: no route")
    tries = [t.reason for t in store.device_history("b") if t.event == "link failing"]
    expected = [] if code == "DeviceLost" else [f"{code}: no route (attempt {n} of 5)" for n in range(1, 5)]
    assert sorted(tries) == expected
    assert outcome.left
    assert run().left == ()
    assert state(store, "b") == ("ready", "")


def test_a_reboot_loop_that_ends_in_a_job_takes_the_device_out(store: Store, run: Run) -> None:
    for boot in ("w", "x", "y"):
        store.step_device("b", DeviceEvent("seen", boot_id=boot), time.time())
    outcome = run()  # its hello says a fourth
    assert outcome.units["b"].out == "quarantined"
    assert "anew 3 times" in state(store, "b")[1]
    assert state(store, "a") == ("ready", "")


def test_a_device_that_is_held_in_mid_job_ends_its_order_and_is_left(
    store: Store, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_sync, "LOOK_S", 0.0)
    release = tmp_path / "release"
    seen: list[tuple[str, str]] = []

    def hold() -> None:
        end_s = time.monotonic() + PATIENCE_S
        while not (tmp_path / "release.reached").exists() and time.monotonic() < end_s:
            time.sleep(0.01)
        with open_store(tmp_path / "home") as other:
            seen.append(state(other, "b"))
            other.step_device("b", DeviceEvent("held", "new fan"), time.time())
        release.touch()

    person = threading.Thread(target=hold)
    person.start()
    outcome = run(b=Script(hold_at="measure", release=release))
    person.join(PATIENCE_S)
    assert seen == [("busy", HOLDER)]
    assert state(store, "b") == ("maintenance", "new fan")
    assert outcome.units["b"].out == "maintenance"
    assert len(outcome.left) == 1
    assert [run.device for run in store.runs(outcome.job_id) if run.device == "b"] != []


def test_a_device_that_is_released_in_mid_job_goes_on(
    store: Store, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_sync, "LOOK_S", 0.0)
    told: list[str] = []

    def step(device: str, event: DeviceEvent, now_s: float) -> DeviceRecord:
        after = plain_step(device, event, now_s)
        if device == "b" and event.kind == "lease taken" and not told:
            told.append("held")
            plain_step("b", DeviceEvent("held", "new fan"), now_s)
        return after

    def record(device: str, now_s: float) -> DeviceRecord:
        found = plain_record(device, now_s)
        if device == "b" and found.state == "maintenance" and told == ["held"]:
            told.append("seen")  # by the job, which leaves it
        elif device == "b" and found.state == "maintenance" and told == ["held", "seen"]:
            told.append("released")
            return plain_step("b", DeviceEvent("released"), now_s)
        return found

    plain_step, plain_record = store.step_device, store.device_record
    monkeypatch.setattr(store, "step_device", step)
    monkeypatch.setattr(store, "device_record", record)
    outcome = run()
    assert told == ["held", "seen", "released"]
    assert outcome.left == ()
    assert outcome.units["b"].out == ""
    assert [kind for kind, _ in history(store, "b")] == ["lease taken", "held", "released", "lease taken", "lease ended"]
    assert state(store, "b") == ("ready", "")


def test_a_device_that_stays_too_hot_rests_and_is_given_up(store: Store, run: Run) -> None:
    hot = replace(HELLO, environment=Environment(1.0, temperature_c=95.0))
    outcome = run(Cooling(80.0, 60.0, wait_s=0.0, look_s=0.0), b=Script(hello=hot))
    assert history(store, "b") == [("lease taken", "busy"), ("too hot", "cooling"), ("device failed", "quarantined")]
    assert "95.0 C" in state(store, "b")[1]
    assert [key.split("/")[2] for key in outcome.left] == ["b"]


def test_a_job_that_is_stopped_by_an_error_gives_its_devices_back(store: Store, run: Run) -> None:
    with pytest.raises(Exception, match="no such"):
        run(b=Script(errors={"measure": ("SpecError", "no such thing")}))
    assert state(store, "a") == state(store, "b") == ("ready", "")


def test_a_job_whose_time_is_up_cancels_what_runs_and_can_go_on(run: Run, store: Store, tmp_path: Path) -> None:
    stuck = Script(hold_at="mid-round", release=tmp_path / "never")
    ended = run(a=stuck, until_s=time.time() + 3.0)
    assert ended.job.time_up
    assert {key for key in ended.job.plan if "/a/" in key} <= set(ended.missing)
    assert store.device_record("a", time.time()).state == "ready"
    ((job, _),) = store.jobs()
    assert job.state == "open"
    whole = run()
    assert whole.missing == ()
    assert not whole.job.time_up
    assert all(whole.job.progress(key).complete == 3 for key in whole.job.plan)


def test_a_job_whose_time_was_up_before_it_began_orders_nothing(run: Run) -> None:
    ended = run(until_s=time.time() - 1.0)
    assert len(ended.missing) == len(ended.job.plan) == 2
    assert not any(unit.opened for unit in ended.units.values())
