"""How a farm comes by its devices and loses them, with several jobs: a real store and pool, scripted devices."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.farm_kit import Quiet
from tests.sitting_kit import Told, admit, at_work, job, machine, runs_of, store_of, taken, turned

from lutfarm.agent_pool.local import LocalPool
from lutfarm.devices import leases, maintenance
from lutfarm.execution import device_sync, held_devices
from lutfarm.execution.sitting import POLL_S
from lutfarm.execution.why_job import why_job
from lutfarm.records.queued_job import QueuedJob
from lutfarm.store import Store
from lutfarm.submission import submit
from lutfarm_agents.device import Device
from lutfarm_agents.interface import Agent
from lutfarm_agents.testing import FakeAgent, Script, ScriptedAgents
from lutfarm_jobs.round import Lease


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(held_devices, "ASK_AGAIN_S", 0.0)
    monkeypatch.setattr(device_sync, "LOOK_S", 0.0)
    with store_of(tmp_path, "a", "b") as found:
        yield found


def test_a_job_goes_on_with_the_devices_that_nobody_else_has_and_gives_them_back(store: Store, tmp_path: Path) -> None:
    theirs, one, watch = taken(store, "a"), job("one", 8), Told()
    with at_work(store, tmp_path) as sitting:
        admit(sitting, store, tmp_path, one, watch)
        turned(sitting, until=lambda: runs_of(store, one) == {"b": 3} and store.lease_holder("b", time.time()) is None)
        assert watch.waits == {("a", "bob: a check")}
        assert store.device_record("b", time.time()).state == "ready"
        assert one.id not in sitting.over()
        assert [unit.leased for unit in sitting.state.units.values()] == [False, False]
        store.release(theirs)
        turned(sitting, until=lambda: one.id in sitting.over())
    assert runs_of(store, one) == {"a": 3, "b": 3}
    assert store.lease_holder("a", time.time()) is None


def test_two_farms_that_wait_for_each_others_devices_both_come_to_an_end(store: Store, tmp_path: Path) -> None:
    one, two, theirs = job("one", 8), job("two", 16), taken(store, "a")
    with at_work(store, tmp_path / "1", owner="ann") as first, at_work(store, tmp_path / "2", owner="bea") as second:
        admit(first, store, tmp_path, one)
        store.release(theirs)
        admit(second, store, tmp_path, two)
        assert [first.state.units[name].leased for name in "ab"] == [False, True]
        assert [second.state.units[name].leased for name in "ab"] == [True, False]
        turned(first, second, until=lambda: one.id in first.over() and two.id in second.over())
        assert not any(unit.out or unit.dropped for farm in (first, second) for unit in farm.state.units.values())
    assert runs_of(store, one) == runs_of(store, two) == {"a": 3, "b": 3}


@pytest.mark.parametrize("seen_by", ["renewal", "commit"])
def test_a_lease_that_is_lost_takes_its_device_out_alone_until_it_is_free_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen_by: str
) -> None:
    release = tmp_path / "release"
    agents = ScriptedAgents({"a": machine("a", Script(hold_at="mid-round", release=release)), "b": machine("b")})
    one, two, watch = job("one", 8, 16), job("two", 24, devices=("b",)), Told()
    with at_work(store, tmp_path, agents=agents) as sitting:
        for spec in (one, two):
            admit(sitting, store, tmp_path, spec, watch)
        turned(sitting, until=(tmp_path / "release.reached").exists)
        theirs = taken(store, "a")
        if seen_by == "renewal":
            monkeypatch.setattr(leases, "LEASE_S", 2 * leases.LEASE_S)  # so that it is due
        else:
            release.touch()
        turned(sitting, until=lambda: sitting.state.units["a"].dropped == (1 if seen_by == "renewal" else 2))
        release.touch()
        turned(sitting, until=lambda: runs_of(store, one) == {"b": 6} and runs_of(store, two) == {"b": 3})
        monkeypatch.undo()
        lost = sitting.state.units["a"]
        assert (lost.leased, lost.out, lost.failures_in_a_row, lost.in_flight) == (False, "", 0, None)
        assert ("a", "bob: a check") in watch.waits
        assert two.id in sitting.over()
        assert one.id not in sitting.over()
        store.release(theirs)
        turned(sitting, until=lambda: one.id in sitting.over())
    assert runs_of(store, one) == {"a": 6, "b": 6}
    assert store.device_record("a", time.time()).state == "ready"


def test_a_lease_that_is_lost_while_models_are_built_ends_no_more_than_that_order(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, theirs = job("one", 8, 16, 24, devices=("a",)), job("two", 24, devices=("b",)), list[Lease]()

    class Robbed(Quiet):
        def preparing(self, done: int, total: int) -> None:
            if not theirs:
                theirs.append(taken(store, "a"))
                monkeypatch.setattr(leases, "LEASE_S", 0.0)  # so that it is due

    with at_work(store, tmp_path) as sitting:
        admit(sitting, store, tmp_path, one, Robbed())
        admit(sitting, store, tmp_path, two)
        turned(sitting, until=lambda: bool(theirs))
        monkeypatch.undo()
        lost = sitting.state.units["a"]
        assert (lost.leased, lost.in_flight, sitting.state.job(one.id).stopped) == (False, None, None)
        turned(sitting, until=lambda: two.id in sitting.over())
        assert runs_of(store, one) == {}
        store.release(theirs[0])
        turned(sitting, until=lambda: one.id in sitting.over())
    assert runs_of(store, one) == {"a": 9}


def test_a_device_in_maintenance_is_nobodys_and_all_jobs_go_on_once_it_is_released(store: Store, tmp_path: Path) -> None:
    release = tmp_path / "release"
    agents = ScriptedAgents({"b": machine("b", Script(hold_at="mid-round", release=release)), "a": machine("a")})
    jobs = job("one", 8, devices=("b",)), job("two", 16, devices=("b",)), job("both", 24, rounds=20)
    with at_work(store, tmp_path, agents=agents) as sitting:
        for spec in jobs:
            admit(sitting, store, tmp_path, spec)
        turned(sitting, until=(tmp_path / "release.reached").exists)
        maintenance.hold(store, "b", "new fan", time.time())
        turned(sitting, until=lambda: sitting.state.units["b"].out == "maintenance")
        assert sitting.state.units["b"].in_flight, "what runs may end"
        release.touch()
        turned(sitting, until=lambda: store.lease_holder("b", time.time()) is None)
        assert sum(runs_of(store, spec)["b"] for spec in jobs) == 1
        maintenance.release(store, "b", time.time())
        turned(sitting, until=lambda: set(sitting.over()) == {spec.id for spec in jobs} and not sitting.state.units["b"].out)
    assert [runs_of(store, spec) for spec in jobs] == [{"b": 3}, {"b": 3}, {"a": 20, "b": 20}]


def test_a_device_whose_link_was_lost_is_tried_again_while_its_farm_is_at_work(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_sync, "RETRY_S", 0.01)
    release, made = tmp_path / "release", Counter[str]()

    def agents(device: Device, state_dir: Path, cpus: frozenset[int] | None) -> Agent:
        made[device.name] += 1
        broken = device.name == "b" and made["b"] <= 3
        script = Script(errors={"prepare": ("DeviceLost", "no cable")}) if broken else Script()
        held = replace(script, hold_at="mid-round", release=release) if device.name == "a" else script
        return FakeAgent(device, machine(device.name, held))

    one = job("one", 8)
    with at_work(store, tmp_path, agents=agents) as sitting:
        admit(sitting, store, tmp_path, one)
        turned(sitting, until=lambda: runs_of(store, one)["b"] == 3)
        release.touch()
        turned(sitting, until=lambda: one.id in sitting.over())
    events = [found.event for found in store.device_history("b")]
    assert events == [*(["lease taken", "link lost"] * 3), "lease taken", "lease ended"]


@pytest.mark.parametrize("how", ["another has it", "it is opened", "its order was lost", "it is lost"])
def test_a_job_can_be_withdrawn_and_leaves_whatever_its_device_does(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    never = tmp_path / "never"
    scripts = {
        "it is opened": Script(hold_at="prepare", release=never),
        "its order was lost": Script(hold_at="mid-round", release=never),
        "it is lost": Script(errors={"prepare": ("DeviceLost", "no cable")}),
    }
    agents = ScriptedAgents({"a": machine("a", scripts.get(how)), "b": machine("b")})
    one, stays = job("one", 8, devices=("a",)), job("stays", 8, devices=("b",))
    with at_work(store, tmp_path, agents=agents) as sitting:
        if how == "another has it":
            taken(store, "a")
        for spec in (stays, one):
            admit(sitting, store, tmp_path, spec)
        if how == "it is lost":
            turned(sitting, until=lambda: sitting.state.units["a"].out == "lost")
        elif how != "another has it":
            turned(sitting, until=(tmp_path / "never.reached").exists)
        if how == "its order was lost":
            taken(store, "a")
            monkeypatch.setattr(leases, "LEASE_S", 2 * leases.LEASE_S)
            sitting.turn()
        sitting.withdraw(one.id)
        turned(sitting, until=lambda: one.id in sitting.over())
        sitting.leave(one.id)
        assert set(sitting.state.units) == {"b"}
        turned(sitting, until=lambda: stays.id in sitting.over())
    assert runs_of(store, stays) == {"b": 3}


def test_a_farm_without_jobs_waits_for_what_may_arrive(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    with at_work(store, tmp_path) as sitting:
        monkeypatch.setattr(LocalPool, "events", lambda _, timeout_s: waited.append(timeout_s) or ())
        for _ in range(3):
            sitting.turn()
        assert list(sitting.over()) == []
    assert waited[1:] == [POLL_S, POLL_S]


def test_a_lease_names_the_job_that_works_there_and_another_says_that_it_waits_for_its_turn(store: Store, tmp_path: Path) -> None:
    release = tmp_path / "release"
    agents = ScriptedAgents({"a": machine("a", Script(hold_at="mid-round", release=release))})
    low, high = job("low", 8, devices=("a",)), job("high", 16, devices=("a",))
    with at_work(store, tmp_path, agents=agents) as sitting:
        for priority, spec in enumerate((low, high)):
            submitted, sources = submit.submit(spec, tmp_path, store)
            sitting.admit(replace(submitted, priority=priority), sources, Told())
            store.enqueue(QueuedJob(spec.id, str(tmp_path), time.time()))
        turned(sitting, until=(tmp_path / "release.reached").exists)
        held = store.lease_holder("a", time.time())
        assert held is not None
        assert held.job_id == high.id, "low was the first to take it"
        (_, (waits,)), (_, (works,)) = (why_job(store, spec.id, time.time()) for spec in (low, high))
        assert works.waits_for == "its own run"
        assert waits.waits_for == f"{high.id}, for which a farm works there"
        assert waits.next.startswith(f"its turn, once nothing is left there of {high.id}, which comes before it")
        release.touch()
        turned(sitting, until=lambda: high.id in sitting.over())
        release.unlink()
        later = job("later", 24, devices=("a",))
        admit(sitting, store, tmp_path, later)
        store.enqueue(QueuedJob(later.id, str(tmp_path), time.time()))
        assert low.id in why_job(store, later.id, time.time())[1][0].next, "of one user the older job comes first"
        release.touch()
        turned(sitting, until=lambda: {low.id, high.id, later.id} == set(sitting.over()))
