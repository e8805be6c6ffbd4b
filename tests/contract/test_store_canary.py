"""What rounds say of the canary, in every store."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.store_kit import PLAN, SLICE, run

from lutfarm.records.canary_round import CanaryRound
from lutfarm.store import Store
from lutfarm_jobs.round import Lease
from lutfarm_jobs.run import Environment, Run

KEYS = [m.key for m in PLAN]


def test_what_rounds_say_of_the_canary_is_kept_by_place(store: Store, lease: Lease) -> None:
    for start in range(5):
        level = replace(SLICE, canary_before_ns=1000 + start, canary_after_ns=2000)
        store.commit([run(round_id=f"{start:032x}", started_s=float(start), slices=(level, level))], lease, "job-1")
    backend, basis = PLAN[0].backend.key, (("runtime", "onnxruntime 1.32.0"),)
    found = [CanaryRound(float(start), 1000 + start, 1000 + start, True, basis) for start in range(5)]
    assert store.canary_rounds("desk", backend, "b1-steady") == found
    assert store.canary_rounds("desk", backend, "b1-steady", after_s=2.0) == found[3:]
    assert store.canary_rounds("desk", "tflite-cpu-t1-fp32", "b1-steady") == []
    assert store.canary_rounds("desk", backend, "b1-steady-cluster.big") == []
    assert store.canary_rounds("des", backend, "b1-steady") == []
    assert store.canaries_shown("desk") == [(backend, "b1-steady")]
    assert store.canaries_shown("des") == []


@pytest.mark.parametrize("together", [True, False])
def test_a_rounds_level_is_the_middle_one_of_its_runs(store: Store, lease: Lease, together: bool) -> None:
    runs: list[Run] = []
    for number, level in enumerate((900, 1000)):
        piece = replace(SLICE, canary_before_ns=level, canary_after_ns=level + 500)
        lucky = replace(SLICE, canary_before_ns=level - 300, canary_after_ns=level)
        key = KEYS[0] if number else KEYS[0].replace("operator:", "operator:other-")
        runs.append(replace(run(key, round_id=f"{0:032x}", slices=(piece,) * 8 + (lucky,)), id=f"{number:032x}"))
    for batch in [runs] if together else [[one] for one in runs]:
        store.commit(batch, lease, "job-1")
    (found,) = store.canary_rounds("desk", PLAN[0].backend.key, "b1-steady")
    assert (found.level_ns, found.low_ns) == (950, 650)  # the minimum would only ever ratchet down


@pytest.mark.parametrize(("busy_s", "idle"), [(11.0, True), (20.0, False), (None, None)])
def test_a_round_says_whether_the_machine_was_idle(store: Store, lease: Lease, busy_s: float | None, idle: bool | None) -> None:
    before = Environment(1.0, busy_s=0.0, own_s=0.0, cores=2, virtual=False)
    after = replace(before, time_s=11.0, busy_s=busy_s, own_s=10.0)
    store.commit([replace(run(slices=(SLICE,)), before=before, after=after)], lease, "job-1")
    (found,) = store.canary_rounds("desk", PLAN[0].backend.key, "b1-steady")
    assert found.idle is idle


def test_a_round_without_slices_says_nothing_of_the_canary(store: Store, lease: Lease) -> None:
    store.commit([run(slices=())], lease, "job-1")
    assert store.canaries_shown("desk") == []
