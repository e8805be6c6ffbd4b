"""Who may use a device, in every store."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.store_kit import OWNER, PLAN, probe, run

from lutfarm.records.lease_holder import LeaseHolder
from lutfarm.store import Store
from lutfarm_agents import process_identity
from lutfarm_jobs.errors import LeaseLost
from lutfarm_jobs.round import Lease

KEYS = [m.key for m in PLAN]


def test_a_late_result_is_refused(store: Store, lease: Lease) -> None:
    newer = store.acquire("desk", owner="elsewhere:0123456789abcdef:1:1", holder="bob", now_s=161.0, ttl_s=60.0)
    assert isinstance(newer, Lease)
    assert newer.token > lease.token
    for late in (
        lambda: store.commit([run()], lease, "job-1"),
        lambda: store.commit_probe(probe(), lease, "job-1"),
        lambda: store.renew(lease, now_s=162.0, ttl_s=60.0),
    ):
        with pytest.raises(LeaseLost, match="desk"):
            late()
    assert list(store.runs("job-1")) == []
    assert store.probes(KEYS) == {}
    store.release(lease)
    store.commit([run()], newer, "job-1")


def test_a_lease_in_force_names_its_holder_and_ends_with_time_or_release(store: Store, lease: Lease) -> None:
    def ask(now_s: float) -> Lease | str:
        return store.acquire("desk", owner="elsewhere:0123456789abcdef:1:1", holder="bob", now_s=now_s, ttl_s=10.0)

    assert ask(101.0) == "ann"
    renewed = store.renew(lease, now_s=150.0, ttl_s=60.0)
    assert renewed == replace(lease, expires_s=210.0)
    assert ask(205.0) == "ann"
    other = store.renew(renewed, now_s=151.0, ttl_s=60.0, job_id="job-2")
    held = store.lease_holder("desk", 205.0)
    assert held is not None
    assert held.job_id == "job-2"
    store.renew(other, now_s=151.0, ttl_s=60.0)
    assert store.lease_holder("desk", 205.0) == held
    store.release(renewed)
    got = ask(206.0)
    assert isinstance(got, Lease)
    assert got.token == lease.token + 1


def test_a_dead_owner_of_this_host_holds_nothing(store: Store) -> None:
    dead = str(replace(process_identity.me(), pid=999_999_999))
    assert isinstance(store.acquire("desk", owner=dead, holder="ghost", now_s=100.0, ttl_s=1e9), Lease)
    assert isinstance(store.acquire("desk", owner=str(process_identity.me()), holder="me", now_s=100.0, ttl_s=60.0), Lease)
    assert store.acquire("desk", owner="elsewhere:0123456789abcdef:1:1", holder="x", now_s=101.0, ttl_s=60.0) == "me"


def test_a_lease_says_for_which_job_it_is_held(store: Store) -> None:
    lease = store.acquire("desk", owner=OWNER, holder="ann", now_s=100.0, ttl_s=60.0, job_id="job-1")
    assert isinstance(lease, Lease)
    assert store.lease_holder("desk", 101.0) == LeaseHolder("ann", 160.0, "job-1")
    store.release(lease)
    again = store.acquire("desk", owner=OWNER, holder="ann: a check", now_s=102.0, ttl_s=60.0)
    assert isinstance(again, Lease)
    assert store.lease_holder("desk", 103.0) == LeaseHolder("ann: a check", 162.0)
