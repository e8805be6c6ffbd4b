"""What every store says to results that come after their lease, because their host had kept them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.store_kit import JOB, OWNER, PLAN, probe, run

from lutfarm.records.ordered import Ordered
from lutfarm.store import Store
from lutfarm_jobs.errors import LeaseLost
from lutfarm_jobs.round import Lease

LATER_S = 1000.0


def next_lease(store: Store, now_s: float = LATER_S, owner: str = OWNER) -> Lease:
    """Of whoever comes once the one before has expired."""
    found = store.acquire("desk", owner=owner, holder="bob", now_s=now_s, ttl_s=60.0)
    assert isinstance(found, Lease)
    return found


def ordered(lease: Lease) -> Ordered:
    return Ordered(JOB.id, JOB.created_s, lease.token)


def ids(store: Store) -> set[str]:
    return {one.id for one in store.runs(JOB.id)}


def test_what_was_left_is_stored_once_for_the_job_that_ordered_it(store: Store, lease: Lease) -> None:
    before, left, more = run(), run(), run(PLAN[1].key, "failed", slices=())
    store.commit([before], lease, JOB.id)
    now = next_lease(store)
    assert store.commit_left([left, before, more], ordered(lease), now) == {
        left.id: "committed",
        before.id: "seen",
        more.id: "committed",
    }
    assert store.commit_left([left, more], ordered(lease), now) == {left.id: "seen", more.id: "seen"}
    assert sorted(store.runs(JOB.id), key=lambda one: one.id) == sorted([before, left, more], key=lambda one: one.id)


def test_any_number_of_leases_may_lie_between_as_long_as_nothing_was_stored_under_them(store: Store, lease: Lease) -> None:
    left = run()
    newest = [next_lease(store, LATER_S * turn) for turn in (1, 2, 3)][-1]
    assert store.commit_left([left], ordered(lease), newest) == {left.id: "committed"}


def test_under_the_same_lease_what_was_left_follows_what_was_stored(store: Store, lease: Lease) -> None:
    left = run()
    store.commit([run()], lease, JOB.id)
    assert store.commit_left([left], ordered(lease), lease) == {left.id: "committed"}


@pytest.mark.parametrize("what", ["run", "probe", "left"])
def test_what_was_stored_under_a_newer_lease_closes_the_door(store: Store, lease: Lease, what: str) -> None:
    seen, late = run(), run()
    store.commit([seen], lease, JOB.id)
    now = next_lease(store)
    if what == "run":
        store.commit([run()], now, JOB.id)
    elif what == "probe":
        store.commit_probe(probe(), now, JOB.id)
    else:
        newer = run()
        assert store.commit_left([newer], ordered(now), now) == {newer.id: "committed"}
    before = ids(store)
    assert store.commit_left([late, seen], ordered(lease), now) == {late.id: "fenced", seen.id: "seen"}
    assert store.commit_left([late], ordered(lease), next_lease(store, 2 * LATER_S)) == {late.id: "fenced"}
    assert ids(store) == before


def test_another_device_closes_no_door(store: Store, lease: Lease) -> None:
    other = store.acquire("bench", owner=OWNER, holder="bob", now_s=LATER_S, ttl_s=60.0)
    assert isinstance(other, Lease)
    store.commit([run(device="bench")], replace(other), JOB.id)
    left = run()
    assert store.commit_left([left], ordered(lease), next_lease(store)) == {left.id: "committed"}


def test_only_who_has_the_lease_stores_what_was_left(store: Store, lease: Lease) -> None:
    left = run()
    now = next_lease(store)
    with pytest.raises(LeaseLost):
        store.commit_left([left], ordered(lease), lease)
    with pytest.raises(LeaseLost):
        store.commit_left([left], ordered(lease), replace(now, owner="bob"))
    assert ids(store) == set()
    assert store.commit_left([left], ordered(lease), now) == {left.id: "committed"}


def test_a_lease_that_nobody_was_given_is_none(store: Store, lease: Lease) -> None:
    left = run()
    assert store.commit_left([left], replace(ordered(lease), token=lease.token + 1), lease) == {left.id: "fenced"}


def test_a_job_that_was_removed_gets_nothing_not_even_under_the_same_name(store: Store, lease: Lease) -> None:
    left = run()
    store.remove_job(JOB.id, LATER_S)
    now = next_lease(store)
    assert store.commit_left([left], ordered(lease), now) == {left.id: "no job"}
    store.open_job(replace(JOB, created_s=JOB.created_s + 1), PLAN)
    assert store.commit_left([left], ordered(lease), now) == {left.id: "no job"}
    assert ids(store) == set()


def test_the_same_measurement_of_a_round_is_stored_once_whatever_it_is_called(store: Store, lease: Lease) -> None:
    stored, first = run(), run()
    store.commit([stored], lease, JOB.id)
    alias, twin = replace(run(), round_id=stored.round_id), replace(run(), round_id=first.round_id)
    answers = store.commit_left([alias, first, twin], ordered(lease), next_lease(store))
    assert answers == {alias.id: "seen", first.id: "committed", twin.id: "seen"}
    assert ids(store) == {stored.id, first.id}


def test_nothing_left_is_nothing_stored(store: Store, lease: Lease) -> None:
    now = next_lease(store)
    assert store.commit_left([], ordered(lease), now) == {}
    left = run()
    assert store.commit_left([left], ordered(lease), now) == {left.id: "committed"}
