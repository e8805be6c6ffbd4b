"""What a real store's rounds and probes say of how long a device takes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tests import store_kit as kit

from lutfarm.execution.past_rounds import known_of
from lutfarm.scheduling.durations import Known
from lutfarm.scheduling.policy import MeasuringPolicy
from lutfarm.scheduling.round_cost import ROUND_S, seconds_of
from lutfarm.store import Store, open_store
from lutfarm_agents.fingerprint import fingerprint
from lutfarm_jobs.measurement import Backend, Measurement, Workload
from lutfarm_jobs.round import Slicing

POLICY = MeasuringPolicy(Slicing())
PLAN = tuple(Measurement(Workload("operator", f"conv{n}"), "desk", Backend("onnxruntime")) for n in range(4))
MADE = fingerprint(kit.HELLO, PLAN[0].backend, POLICY.slicing, "")
EXPECTED_NS = {m.key: 400_000.0 for m in PLAN}
DUE_S = ROUND_S + 4 * seconds_of(100_000, POLICY.slicing, load_ns=2_000_000)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "home") as found:
        found.put_device(kit.DESK)
        found.open_job(kit.JOB, PLAN)
        yield found


def fill(store: Store, paces: list[float], *, made: Mapping[str, str] = MADE, probe_gap_s: float = 0.1) -> None:
    """Four probes, and a round of all four at each of these paces."""
    store.put_hello("desk", kit.HELLO, time.time())
    lease = store.acquire("desk", owner=kit.OWNER, holder="ann", now_s=time.time(), ttl_s=60.0)
    assert not isinstance(lease, str)
    for number, m in enumerate(PLAN):
        found = kit.probe(m.key, probed_s=10.0 + probe_gap_s * number, load_ns=2_000_000, iteration_ns=100_000)
        store.commit_probe(found, lease, kit.JOB.id)
    for number, pace in enumerate(paces):
        runs = [
            replace(
                kit.run(m.key),
                round_id=f"{len(store.last_runs('desk', most=999))}-{number}",
                fingerprint=dict(made),
                started_s=100.0 * number,
                ended_s=100.0 * number + pace * DUE_S,
            )
            for m in PLAN
        ]
        store.commit(runs, lease, kit.JOB.id)
    store.release(lease)


def known(store: Store) -> Known:
    return known_of(store, "desk", PLAN, POLICY, EXPECTED_NS)


def test_nothing_is_known_of_a_device_that_never_said_what_it_is(store: Store) -> None:
    assert known(store) == Known()


def test_rounds_say_their_pace_probes_their_time_and_iterations_how_good_a_guess_is(store: Store) -> None:
    fill(store, [2.0, 2.0, 2.1, 2.0])
    found = known(store)
    assert found.pace is not None
    assert found.pace.low_s <= 2.0 <= found.pace.high_s <= 2.5
    assert found.probe is not None
    assert found.probe.low_s < 0.1 < found.probe.high_s
    assert found.scale == {PLAN[0].backend.key: pytest.approx(0.25)}


def test_one_round_is_no_witness_and_rounds_of_another_plan_are_none_either(store: Store) -> None:
    fill(store, [5.0])
    assert known(store).pace is None
    fill(store, [5.0] * 4, made={**MADE, "slicing": "another"})
    assert known(store).pace is None


def test_probes_of_two_orders_are_not_one_long_probe(store: Store) -> None:
    fill(store, [], probe_gap_s=60.0)
    assert known(store).probe is None
