"""A unit of a pool is quarantined in mid-job: its shared work goes to the others, nothing is lost or measured twice."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.schedule_kit import OneJob, begin, changed

from lutfarm.scheduling import rebalance
from lutfarm.scheduling.job_progress import MeasurementProgress
from lutfarm.scheduling.state import with_job
from lutfarm.scheduling.work_sharing import Share, divide, item_of, shared_out
from lutfarm_jobs.job_file.devices import LEAST_ANCHORS
from lutfarm_jobs.measurement import Backend, Measurement, Workload
from lutfarm_jobs.run import Failure, Probe

UNITS = ("u1", "u2", "u3")
NAMES = [f"op{number:02}" for number in range(16)]
ROUNDS = 2


def of(name: str, unit: str) -> Measurement:
    return Measurement(Workload("operator", name), unit, Backend("onnxruntime"))


SHARE = Share("p", UNITS, frozenset(item_of(of(name, "u1")) for name in NAMES[:4]), 0.1)


def fresh(units: tuple[str, ...] = UNITS) -> OneJob:
    plan = [of(name, unit) for unit in units for name in NAMES]
    items = {item_of(m): 1.0 for m in plan if item_of(m) not in SHARE.anchors}
    return begin(shared_out(plan, SHARE, divide(items, UNITS)), units, rounds=ROUNDS, shares=(SHARE,))


def out(state: OneJob, *names: str) -> OneJob:
    units = {n: replace(u, quarantined="NotReady: hot", out="quarantined") if n in names else u for n, u in state.units.items()}
    return changed(state, units=units)


def done(state: OneJob, keys: Collection[str], complete: int = ROUNDS) -> OneJob:
    return changed(state, progress_of={**state.progress_of, **{key: MeasurementProgress(complete=complete) for key in keys}})


def reassign(state: OneJob) -> tuple[OneJob, tuple[Measurement, ...]]:
    job, added = rebalance.reassign(state.job, state.units)
    return OneJob(with_job(state.farm, job)), added


def anchors_of(unit: str) -> list[str]:
    return [of(name, unit).key for name in NAMES[:4]]


def open_work(state: OneJob) -> dict[str, list[str]]:
    """By operator that is no anchor: the units that still have to measure it."""
    found: dict[str, list[str]] = {}
    for key, m in state.plan.items():
        if item_of(m) not in SHARE.anchors and state.wants(key):
            found.setdefault(m.workload.name, []).append(m.device)
    return found


def test_nothing_happens_while_all_are_well() -> None:
    state = fresh()
    assert reassign(state) == (state, ())


def test_the_work_of_one_goes_to_the_others_evenly_and_its_anchors_stay() -> None:
    state, added = reassign(out(fresh(), "u2"))
    work = open_work(state)
    assert sorted(work) == NAMES[4:]
    assert all(len(units) == 1 and units[0] != "u2" for units in work.values())
    assert sorted(unit for (unit,) in work.values()) == ["u1"] * 6 + ["u3"] * 6
    assert {m.key for m in added} <= set(state.plan)
    assert len(added) == 4
    assert set(anchors_of("u2")) <= set(state.plan)


def test_it_happens_once() -> None:
    state, _ = reassign(out(fresh(), "u2"))
    assert reassign(state) == (state, ())


def test_what_a_corrected_unit_has_finished_stays_its_own() -> None:
    state = fresh()
    mine = [key for key, m in state.plan.items() if m.device == "u2"]
    finished = [*anchors_of("u2"), mine[-1]]
    state, added = reassign(out(done(state, finished), "u2"))
    assert mine[-1] in state.plan
    assert len(added) == 3
    assert state.plan[mine[-1]].workload.name not in open_work(state)


def test_what_was_finished_without_anchors_is_measured_again_elsewhere() -> None:
    state = fresh()
    mine = [key for key, m in state.plan.items() if m.device == "u2"]
    state, added = reassign(out(done(state, [*anchors_of("u2")[:2], mine[-1]]), "u2"))
    assert len(added) == 4
    assert len(open_work(state)) == 12
    assert reassign(state) == (state, ())


def test_a_failed_measurement_is_a_result_and_stays() -> None:
    state = fresh()
    failing = next(key for key, m in state.plan.items() if m.device == "u2" and item_of(m) not in SHARE.anchors)
    probe = Probe(failing, "u2", {}, 0.0, Failure("OutOfMemory", "40 GB"))
    state = changed(state, progress_of={failing: MeasurementProgress(probe=probe, failed=True)})
    state, added = reassign(out(state, "u2"))
    assert failing in state.plan
    assert len(added) == 3


def test_the_work_waits_where_no_unit_is_left() -> None:
    state = out(fresh(), *UNITS)
    assert reassign(state) == (state, ())
    assert state.over


def test_a_unit_whose_budget_is_spent_is_given_nothing() -> None:
    state = out(fresh(), "u2")
    state, added = reassign(changed(state, spent_s={"u1": 100.0}, budget_s=50.0))
    assert {m.device for m in added} == {"u3"}


def test_other_devices_and_jobs_without_pools_are_left_alone() -> None:
    state = out(fresh((*UNITS, "desk")), "desk")
    assert reassign(state) == (state, ())
    plain = out(changed(fresh(), shares=()), "u2")
    assert reassign(plain) == (plain, ())


@given(st.lists(st.sampled_from(UNITS), min_size=1, max_size=2, unique=True), st.sets(st.sampled_from(NAMES)))
def test_one_after_the_other_may_fail_and_each_operator_still_has_one_unit(names: list[str], finished: set[str]) -> None:
    """Whatever was finished before: with a unit left, every operator is measured somewhere that can be corrected."""
    state = fresh()
    state = done(state, [key for key, m in state.plan.items() if m.workload.name in finished])
    for count in range(1, len(names) + 1):
        state, _ = reassign(out(state, *names[:count]))
    for name in NAMES[4:]:
        places = [key for key, m in state.plan.items() if m.workload.name == name]
        able = [
            key
            for key in places
            if state.plan[key].device not in names
            or (not state.wants(key) and sum(not state.wants(a) for a in anchors_of(state.plan[key].device)) >= 3)
        ]
        assert len(able) == 1


def test_a_unit_that_has_more_to_do_is_given_less() -> None:
    """Whose anchors and share are done already takes what the other has no time for."""
    state = fresh()
    ahead = [key for key, m in state.plan.items() if m.device == "u1"]
    _, added = reassign(out(done(state, ahead), "u2"))
    given_to = [m.device for m in added]
    assert given_to.count("u1") == 4 > given_to.count("u3")


@pytest.mark.parametrize(("anchors", "stays"), [(LEAST_ANCHORS - 1, False), (LEAST_ANCHORS, True)])
def test_so_many_measured_anchors_correct_a_unit_and_fewer_do_not(anchors: int, stays: bool) -> None:
    state = fresh()
    mine = next(key for key, m in state.plan.items() if m.device == "u2" and item_of(m) not in SHARE.anchors)
    state, _ = reassign(out(done(state, [*anchors_of("u2")[:anchors], mine]), "u2"))
    assert (mine in state.plan) is stays
