"""A job of a pool that runs again with other devices: what is finished stays, what is not is given to those that are there."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.test_pools import EFFECTS, PROFILE, SHARE, job
from tests.store_kit import run

from lutfarm.records.device_state import DeviceEvent
from lutfarm.records.job import Job
from lutfarm.scheduling.work_sharing import item_of
from lutfarm.store import Store, open_store
from lutfarm.submission import submit
from lutfarm.submission.submission import Submission
from lutfarm_agents.address import LocalAddress
from lutfarm_agents.device import Device
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.round import Lease

SPEC = job(**SHARE)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "home") as opened:
        for device in EFFECTS:
            opened.put_device(Device(device, PROFILE, "local", LocalAddress()))
        yield opened


def submitted(store: Store) -> Submission:
    found, _ = submit.submit(SPEC, Path(), store)
    store.open_job(Job(SPEC.id, SPEC.name, SPEC.model_dump_json(), 1.0), found.plan)
    return found


def split(found: Submission, device: str) -> tuple[list[Measurement], list[Measurement]]:
    """A device's anchors, and what it alone measures."""
    mine = [m for m in found.plan if m.device == device]
    anchors = found.shares[0].anchors
    return [m for m in mine if item_of(m) in anchors], [m for m in mine if item_of(m) not in anchors]


def measured(store: Store, done: Sequence[Measurement], *, rounds: int = 2) -> None:
    for m in done:
        lease = store.acquire(m.device, owner="test 1", holder="ann", now_s=1.0, ttl_s=60.0)
        assert isinstance(lease, Lease)
        runs = [run(m.key, device=m.device, id=uuid.uuid4().hex) for _ in range(rounds)]
        store.commit(runs, lease, SPEC.id)


def leaves(store: Store, device: str) -> None:
    store.step_device(device, DeviceEvent("device failed", "hot"), 2.0)


def who(found: Submission, m: Measurement) -> list[str]:
    return [other.device for other in found.plan if item_of(other) == item_of(m)]


@pytest.mark.parametrize(("anchors", "rounds", "stays"), [(3, 2, True), (2, 2, False), (3, 1, False)])
def test_what_a_device_that_left_has_finished_stays_where_it_can_be_corrected(
    store: Store, anchors: int, rounds: int, stays: bool
) -> None:
    mine, alone = split(submitted(store), "u2")
    measured(store, mine[:anchors], rounds=1)
    measured(store, alone[:1], rounds=rounds)
    leaves(store, "u2")
    again = submitted(store)
    assert all(m.device != "u2" for m in again.plan)
    assert (who(again, alone[0]) == []) is stays
    assert all(len(who(again, m)) == 1 for m in alone[1:])


def test_what_passed_to_a_device_that_finished_it_is_not_given_back(store: Store) -> None:
    first = submitted(store)
    _, alone = split(first, "u2")
    anchors, _ = split(first, "u3")
    moved = replace(alone[0], device="u3")
    store.extend_plan(SPEC.id, [moved])
    assert who(submitted(store), moved) == ["u3"]
    measured(store, [*anchors, moved])
    leaves(store, "u3")
    assert who(submitted(store), moved) == []


def test_a_device_that_joins_gets_anchors_and_no_work_that_another_has(store: Store) -> None:
    first = submitted(store)
    store.put_device(Device("u0", PROFILE, "local", LocalAddress()))
    again = submitted(store)
    assert {m.key for m in first.plan} < {m.key for m in again.plan}
    assert split(again, "u0")[1] == []
    assert len(split(again, "u0")[0]) == 6


def test_what_was_finished_before_it_passed_on_is_not_measured_again(store: Store) -> None:
    anchors, alone = split(submitted(store), "u2")
    store.extend_plan(SPEC.id, [replace(alone[0], device="u3")])
    measured(store, [*anchors, alone[0]])
    leaves(store, "u2")
    assert who(submitted(store), alone[0]) == []
