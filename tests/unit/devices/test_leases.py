"""Leases of devices: asked for without waiting, renewed in time, and lost one by one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from lutfarm.devices import leases as module
from lutfarm.devices.leases import LEASE_S, Leases, lease
from lutfarm.store.interface import Store
from lutfarm_jobs.errors import LeaseLost
from lutfarm_jobs.round import Lease


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def time(self) -> float:
        return self.now_s

    def sleep(self, seconds_s: float) -> None:
        self.now_s += seconds_s


@dataclass
class Desks:
    """What a store does with leases, in memory: a unit of another owner is free at `free_s`."""

    free_s: dict[str, float] = field(default_factory=dict[str, float])
    told: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    jobs: list[str] = field(default_factory=list[str])  # for which each was asked
    lost: list[str] = field(default_factory=list[str])  # that pass to another before they are renewed

    def acquire(self, unit: str, *, owner: str, holder: str, now_s: float, ttl_s: float, job_id: str = "") -> Lease | str:
        self.told.append(("asked", unit))
        self.jobs.append(job_id)
        if now_s < self.free_s.get(unit, 0.0):
            return "somebody"
        return Lease(unit, 1, owner, now_s + ttl_s)

    def renew(self, lease: Lease, *, now_s: float, ttl_s: float, job_id: str | None = None) -> Lease:
        self.jobs += [job_id] if job_id is not None else []
        if lease.device in self.lost:
            raise LeaseLost("it passed to another")
        assert now_s < lease.expires_s, f"the lease on {lease.device} ran out before it was renewed"
        self.told.append(("renewed", lease.device))
        return replace(lease, expires_s=now_s + ttl_s)

    def release(self, lease: Lease) -> None:
        self.told.append(("released", lease.device))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(module, "time", found)
    return found


def nobody(unit: str, holder: str) -> None:
    raise AssertionError(f"{unit} is free and {holder} was waited for")


def test_a_lease_is_renewed_once_a_third_of_it_has_passed_and_not_before(clock: Clock) -> None:
    desks = Desks()
    held = Leases(cast(Store, desks))
    assert held.ask("a", owner="me", holder="me", job_id="j1") == ""
    clock.now_s += LEASE_S / 3 - 1
    assert held.renew() == []
    assert ("renewed", "a") not in desks.told
    clock.now_s += 2
    assert held.renew(["b"]) == []
    assert ("renewed", "a") not in desks.told
    assert held.renew() == []
    assert desks.told.count(("renewed", "a")) == 1
    assert held.held["a"].expires_s == clock.now_s + LEASE_S
    held.release()
    assert desks.told[-1] == ("released", "a")
    assert desks.jobs == ["j1"]


@pytest.mark.parametrize("ahead_s", [-500.0, 500.0])
def test_a_lease_is_renewed_in_time_where_the_store_has_another_clock(clock: Clock, ahead_s: float) -> None:
    class Elsewhere(Desks):
        def acquire(self, unit: str, *, owner: str, holder: str, now_s: float, ttl_s: float, job_id: str = "") -> Lease | str:
            return super().acquire(unit, owner=owner, holder=holder, now_s=now_s + ahead_s, ttl_s=ttl_s, job_id=job_id)

        def renew(self, lease: Lease, *, now_s: float, ttl_s: float, job_id: str | None = None) -> Lease:
            return super().renew(lease, now_s=now_s + ahead_s, ttl_s=ttl_s, job_id=job_id)

    desks = Elsewhere()
    held = Leases(cast(Store, desks))
    held.ask("a", owner="me", holder="me")
    for _ in range(10):
        clock.now_s += LEASE_S / 4
        assert held.renew() == []
    assert desks.told.count(("renewed", "a")) == 5


def test_who_has_a_device_is_said_and_nobody_waits(clock: Clock) -> None:
    desks = Desks({"b": clock.now_s + 1.0})
    held = Leases(cast(Store, desks))
    began_s = clock.now_s
    assert held.ask("b", owner="me", holder="me") == "somebody"
    assert (dict(held.held), clock.now_s) == ({}, began_s)
    clock.now_s += 2
    assert held.ask("b", owner="me", holder="me") == ""
    assert held.ask("b", owner="me", holder="me") == ""  # it is held
    assert desks.told == [("asked", "b")] * 2


def test_a_lease_that_passed_to_another_is_named_and_the_others_are_renewed(clock: Clock) -> None:
    desks = Desks(lost=["b"])
    held = Leases(cast(Store, desks))
    for device in ("a", "b", "c"):
        held.ask(device, owner="me", holder="me")
    clock.now_s += LEASE_S / 2
    assert held.renew() == ["b"]
    assert set(held.held) == {"a", "c"}
    assert {lease.expires_s for lease in held.held.values()} == {clock.now_s + LEASE_S}
    held.release()
    assert ("released", "b") not in desks.told


def test_a_lease_says_for_which_job_its_device_works_and_is_written_where_that_changes(clock: Clock) -> None:
    desks = Desks(lost=["b"])
    held = Leases(cast(Store, desks))
    for device in ("a", "b"):
        held.ask(device, owner="me", holder="me", job_id="j1")
    assert held.hold_for("a", "j1")
    assert ("renewed", "a") not in desks.told
    assert all(held.hold_for("a", job_id) for job_id in ("j2", "j2", "j1"))
    assert desks.jobs == ["j1", "j1", "j2", "j1"]
    assert not held.hold_for("b", "j2")
    assert not held.hold_for("c", "j2")
    assert set(held.held) == {"a"}


def test_one_device_is_waited_for_and_its_lease_kept(clock: Clock) -> None:
    desks = Desks({"a": clock.now_s + 2.5})
    waited: list[tuple[str, str]] = []
    with lease(
        cast(Store, desks), "a", owner="me", holder="me", waiting=lambda device, who: waited.append((device, who))
    ) as kept:
        first = kept()
        clock.now_s += LEASE_S / 2
        assert kept().expires_s > first.expires_s
    assert waited == [("a", "somebody")] * 3
    assert desks.told[-1] == ("released", "a")


def test_a_check_that_lost_its_device_says_so(clock: Clock) -> None:
    desks = Desks(lost=["a"])
    with lease(cast(Store, desks), "a", owner="me", holder="me", waiting=nobody) as kept:
        clock.now_s += LEASE_S / 2
        with pytest.raises(LeaseLost, match="a: the lease passed to another"):
            kept()


def test_a_wait_that_is_interrupted_leaves_nothing_behind(clock: Clock) -> None:
    desks = Desks({"a": clock.now_s + 1e9})

    def interrupted(unit: str, holder: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), lease(cast(Store, desks), "a", owner="me", holder="me", waiting=interrupted):
        raise AssertionError("a was never free")
    assert desks.told == [("asked", "a")]


def test_the_leases_that_are_shown_cannot_be_changed() -> None:
    held = Leases(cast(Store, Desks()))
    with pytest.raises(TypeError):
        held.held["a"] = Lease("a", 1, "me", 1.0)  # pyright: ignore[reportIndexIssue]
