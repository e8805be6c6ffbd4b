"""`lutfarm job why`: what each device of a job waits for."""

from __future__ import annotations

import pytest

from lutfarm.monitoring.why import FORWARD, Turn, Why, way_back, why
from lutfarm.records.device_state import NO_WORK, STATES, DeviceRecord, State
from lutfarm.records.job import JobState
from lutfarm.records.lease_holder import LeaseHolder
from lutfarm_jobs.measurement import Backend, Measurement, Workload

PLAN = tuple(Measurement(Workload("operator", f"conv{i}"), "desk", Backend("onnxruntime")) for i in range(4))
KEYS = [m.key for m in PLAN]
DONE, FAILED = {KEYS[0], KEYS[2]}, {KEYS[2]}
# Another job of the same name, too: the name says nothing of whose lease it is.
MINE = LeaseHolder("ann: job small, process 1", 60.0, "small-1")
OTHER = LeaseHolder("bob: job small, process 2", 60.0, "small-2")


def one(state: State, holder: LeaseHolder | None = None, **changes: object) -> Why:
    record = DeviceRecord("desk", state, "because", 1.0, **changes)  # type: ignore[arg-type]
    holders = {"desk": holder} if holder else {}
    (found,) = why([record], PLAN, done=DONE, failed=FAILED, job_id="small-1", holders=holders)
    return found


def test_measurements_are_counted_by_what_they_have() -> None:
    found = one("ready")
    assert (found.done, found.failed, found.left) == (1, 1, 2)
    (other,) = why([DeviceRecord("phone")], PLAN, done=DONE, failed=FAILED, job_id="small-1", holders={})
    assert (other.done, other.failed, other.left, other.waits_for) == (0, 0, 0, "nothing")


@pytest.mark.parametrize(
    ("state", "holder", "waits_for", "following", "next_s"),
    [
        ("quarantined", None, "a passed check", "lutfarm device check desk", None),
        ("lost", None, "a link", "lutfarm device check desk", None),
        ("maintenance", None, "maintenance", "lutfarm device release desk", None),
        ("retired", None, "nothing", "register it again", None),
        ("cooling", MINE, "temperature", "looked at again", 44.0),
        ("ready", None, "a run of this job", "run the job's file again", None),
        ("busy", MINE, "its own run", "measures on it", None),
        ("busy", OTHER, "bob: job small, process 2", "lease ends", 60.0),
    ],
)
def test_what_it_waits_for(
    state: State, holder: LeaseHolder | None, waits_for: str, following: str, next_s: float | None
) -> None:
    found = one(state, holder, until_s=44.0 if state == "cooling" else None)
    assert waits_for in found.waits_for
    assert following in found.next
    assert found.next_s == next_s
    assert (found.state, found.reason) == (state, "because")


@pytest.mark.parametrize(
    ("state", "waits_for", "following"),
    [
        ("open", "a run of this job", "run the job's file again"),
        ("failed", "a run of this job", "run the job's file again"),
        ("queued", "the served farm", "when its turn comes"),
        ("cancelled", "nothing", "submit or run its file again"),
    ],
)
def test_what_nobody_holds_waits_for_what_the_job_does(state: JobState, waits_for: str, following: str) -> None:
    def found(held: dict[str, LeaseHolder]) -> Why:
        (one,) = why([DeviceRecord("desk", "ready")], PLAN, done=DONE, failed=FAILED, job_id="small-1", holders=held, state=state)
        return one

    assert waits_for in found({}).waits_for
    assert following in found({}).next
    assert "bob" in found({"desk": OTHER}).waits_for


def test_a_job_that_a_served_farm_goes_on_with_needs_nobody_to_run_it_again() -> None:
    def found(state: State, job: JobState) -> Why:
        (one,) = why(
            [DeviceRecord("desk", state)], PLAN, done=DONE, failed=FAILED, job_id="small-1", holders={}, state=job, served=True
        )
        return one

    lost = found("lost", "open").next
    assert "lutfarm host join" in lost
    assert "goes on by itself" in lost
    assert "again, or lutfarm device check" not in lost
    assert "run the job" not in found("ready", "open").next
    assert "goes on with this job" in found("ready", "open").waits_for
    assert "not begun" in found("ready", "queued").waits_for
    assert found("quarantined", "open").next == "mend it, then lutfarm device check desk"


def test_a_device_that_rests_between_two_orders_of_the_job_says_until_when() -> None:
    def next_of(state: State, holder: LeaseHolder | None) -> tuple[str, str, float | None]:
        holders = {"desk": holder} if holder else {}
        (found,) = why(
            [DeviceRecord("desk", state)], PLAN, done=DONE, failed=FAILED, job_id="small-1", holders=holders, rests={"desk": 44.0}
        )
        return found.waits_for, found.next, found.next_s

    assert next_of("busy", MINE) == ("its cooldown", "its next order", 44.0)
    assert next_of("busy", OTHER)[2] == 60.0
    assert next_of("ready", None)[2] is None


def test_a_link_that_failed_says_when_it_is_tried_again() -> None:
    found = one("busy", MINE, until_s=44.0)
    assert (found.reason, found.waits_for) == ("because", "a link that failed")
    assert (found.next, found.next_s) == ("it is tried again", 44.0)


def test_every_state_that_needs_somebody_says_what_to_do() -> None:
    assert set(FORWARD) >= NO_WORK
    assert all(one(state).next for state in STATES)


def test_a_device_with_nothing_left_waits_for_nothing() -> None:
    (found,) = why([DeviceRecord("desk", "retired")], PLAN[:1], done=DONE, failed=FAILED, job_id="small-1", holders={})
    assert (found.left, found.waits_for) == (0, "nothing")


def test_what_only_a_new_registration_mends_is_not_sent_to_a_check() -> None:
    anew = "do as it says; lutfarm device check desk alone would find the same"
    assert way_back("desk", "quarantined", "RegistrationStale") == anew
    assert way_back("desk", "lost", "RegistrationStale") == FORWARD["lost"].replace("NAME", "desk")
    assert one("quarantined", code="RegistrationStale").next == anew
    for other in ("NotReady", "ProtocolMismatch", "", "an unknown one"):
        assert one("quarantined", code=other).next == "mend it, then lutfarm device check desk"


def test_a_job_whose_device_works_for_another_of_its_farm_waits_for_its_turn() -> None:
    def shared(turn: Turn) -> Why:
        (found,) = why(
            [DeviceRecord("desk", "busy")],
            PLAN,
            done=DONE,
            failed=FAILED,
            job_id="small-1",
            holders={"desk": LeaseHolder("serve", 60.0, "small-2")},
            turns={"desk": turn},
            now_s=100.0,
        )
        return found

    fair = shared(Turn())
    assert fair.waits_for == "small-2, for which serve works there"
    assert "for about 20 s at most" in fair.next
    assert fair.next_s is None
    urgent = shared(Turn(("small-2", "big-3"), 40.0))
    assert urgent.next == "its turn, once nothing is left there of small-2, big-3, which come before it"
    assert urgent.next_s == 140.0
    (unknown, many) = (shared(Turn(tuple(f"j{n}" for n in range(count)))) for count in (1, 5))
    assert (
        unknown.next == "its turn, once nothing is left there of j0, which comes before it; how long that takes is not known yet"
    )
    assert "j0, j1, j2 and 2 more, which come" in many.next
    assert unknown.next_s is None
