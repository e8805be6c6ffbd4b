"""The leases of a job: renewed in time, also while another is waited for, and taken in one order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from lutfarm.devices import leases as module
from lutfarm.devices.leases import LEASE_S, Leases, leases
from lutfarm.store.interface import Store
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

    def acquire(self, unit: str, *, owner: str, holder: str, now_s: float, ttl_s: float, job_id: str = "") -> Lease | str:
        self.told.append(("asked", unit))
        self.jobs.append(job_id)
        if now_s < self.free_s.get(unit, 0.0):
            return "somebody"
        return Lease(unit, 1, owner, now_s + ttl_s)

    def renew(self, lease: Lease, *, now_s: float, ttl_s: float) -> Lease:
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
    with leases(cast(Store, desks), ["a"], owner="me", holder="me", waiting=nobody) as held:
        clock.now_s += LEASE_S / 3 - 1
        held.renew()
        assert ("renewed", "a") not in desks.told
        clock.now_s += 2
        held.renew()
        assert desks.told.count(("renewed", "a")) == 1
        assert held.held["a"].expires_s == clock.now_s + LEASE_S
    assert desks.told[-1] == ("released", "a")


def test_a_lease_that_is_held_does_not_run_out_while_another_is_waited_for(clock: Clock) -> None:
    desks = Desks({"b": clock.now_s + 5 * LEASE_S})
    waited: list[tuple[str, str]] = []
    with leases(
        cast(Store, desks), ["a", "b"], owner="me", holder="me", waiting=lambda unit, holder: waited.append((unit, holder))
    ) as held:
        assert held.held["a"].expires_s > clock.now_s
        assert set(held.held) == {"a", "b"}
    assert set(waited) == {("b", "somebody")}
    assert desks.told.count(("renewed", "a")) >= 5


@pytest.mark.parametrize("units", [["c", "a", "b"], ["b", "c", "a"], ["a", "b", "c"]])
def test_devices_are_asked_for_in_the_order_of_their_names_whatever_order_a_job_has(clock: Clock, units: list[str]) -> None:
    desks = Desks()
    with leases(cast(Store, desks), units, owner="me", holder="me", waiting=nobody):
        pass
    assert [unit for what, unit in desks.told if what == "asked"] == ["a", "b", "c"]


def test_a_lease_says_for_which_job_it_is(clock: Clock) -> None:
    desks = Desks({"b": clock.now_s + 1.0})
    with leases(cast(Store, desks), ["a", "b"], owner="me", holder="me", waiting=lambda unit, holder: None, job_id="j1"):
        assert desks.jobs == ["j1"] * 3  # b was asked for twice


def test_what_was_taken_is_given_back_when_the_wait_for_another_is_interrupted(clock: Clock) -> None:
    desks = Desks({"b": clock.now_s + 1e9})

    def interrupted(unit: str, holder: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), leases(cast(Store, desks), ["a", "b"], owner="me", holder="me", waiting=interrupted):
        raise AssertionError("b was never free")
    assert desks.told[-1] == ("released", "a")


def test_the_leases_that_are_shown_cannot_be_changed() -> None:
    held = Leases(cast(Store, Desks()))
    with pytest.raises(TypeError):
        held.held["a"] = Lease("a", 1, "me", 1.0)  # pyright: ignore[reportIndexIssue]
