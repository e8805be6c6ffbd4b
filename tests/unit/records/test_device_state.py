"""The table of device states: who may leave what, and how."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm.records.device_state import (
    KINDS,
    MOST_REBOOTS,
    NO_WORK,
    OBSERVATIONS,
    REBOOT_WINDOW_S,
    STATES,
    TRANSITIONS,
    DeviceEvent,
    DeviceRecord,
    Kind,
    State,
    allowed,
    settled,
    step,
)
from lutfarm_jobs.errors import SpecError

EVENTS = st.builds(
    DeviceEvent,
    st.sampled_from(KINDS),
    reason=st.sampled_from(["", "a", "b"]),
    boot_id=st.sampled_from(["", "x", "y", "z"]),
    code=st.sampled_from(["", "NotReady"]),
)
RECORDS = st.builds(
    DeviceRecord,
    st.just("desk"),
    st.sampled_from(STATES),
    st.sampled_from(["", "why"]),
    st.just(5.0),
    boot_id=st.sampled_from(["", "x"]),
    reboots_s=st.sampled_from([(), (90.0,), (80.0, 90.0)]),
)


@pytest.mark.parametrize(
    ("state", "kind", "after"),
    [
        ("new", "lease taken", "busy"),
        ("ready", "lease taken", "busy"),
        ("lost", "lease taken", "busy"),
        ("busy", "lease ended", "ready"),
        ("cooling", "lease ended", "ready"),
        ("maintenance", "lease ended", "maintenance"),
        ("quarantined", "lease ended", "quarantined"),
        ("lost", "lease ended", "lost"),
        ("new", "lease ended", "new"),
        ("busy", "too hot", "cooling"),
        ("cooling", "cooled", "busy"),
        ("ready", "cooled", "ready"),
        ("busy", "link lost", "lost"),
        ("quarantined", "link lost", "quarantined"),
        ("retired", "link lost", "retired"),
        ("busy", "device failed", "quarantined"),
        ("maintenance", "device failed", "maintenance"),
        ("new", "check passed", "ready"),
        ("lost", "check passed", "ready"),
        ("quarantined", "check passed", "ready"),
        ("maintenance", "check passed", "maintenance"),
        ("busy", "check passed", "busy"),
        ("ready", "check failed", "quarantined"),
        ("maintenance", "check failed", "maintenance"),
        ("busy", "held", "maintenance"),
        ("maintenance", "released", "ready"),
        ("quarantined", "released", "ready"),
        ("quarantined", "registered", "new"),
        ("retired", "registered", "new"),
        ("busy", "retired", "retired"),
    ],
)
def test_the_table(state: State, kind: Kind, after: State) -> None:
    assert step(DeviceRecord("desk", state, since_s=1.0), DeviceEvent(kind, "why"), 2.0).state == after


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("quarantined", "lease taken"),
        ("maintenance", "lease taken"),
        ("retired", "lease taken"),
        ("busy", "registered"),
        ("cooling", "registered"),
        ("retired", "released"),
        ("retired", "held"),
        ("retired", "check passed"),
        ("ready", "released"),
        ("retired", "retired"),
    ],
)
def test_a_refused_request_says_what_is_allowed(state: State, kind: Kind) -> None:
    with pytest.raises(SpecError, match=f"desk is {state} .its fan.") as caught:
        step(DeviceRecord("desk", state, "its fan"), DeviceEvent(kind), 2.0)
    said = caught.value.detail
    words = {"held": "hold", "released": "release", "retired": "retire", "registered": "register", "check passed": "check"}
    for one, word in words.items():
        assert (f"lutfarm device {word} desk" in said) is (one in allowed(state))
    assert kind not in allowed(state)


@given(RECORDS, EVENTS)
def test_observations_are_never_refused_and_requests_only_where_the_table_is_silent(
    record: DeviceRecord, event: DeviceEvent
) -> None:
    listed = (record.state, event.kind) in TRANSITIONS
    try:
        after = step(record, event, 100.0)
    except SpecError:
        assert event.kind not in OBSERVATIONS
        assert not listed
        return
    assert listed or event.kind in OBSERVATIONS
    if after.state != record.state:
        assert after.since_s == 100.0
    else:
        assert after.since_s == record.since_s


def walk(state: State, events: list[DeviceEvent]) -> list[tuple[DeviceRecord, DeviceEvent | None]]:
    found: list[tuple[DeviceRecord, DeviceEvent | None]] = [(DeviceRecord("desk", state, since_s=1.0), None)]
    for at, event in enumerate(events):
        try:
            found.append((step(found[-1][0], event, 100.0 + at), event))
        except SpecError:
            continue
    return found


@given(st.lists(EVENTS, max_size=30))
def test_only_registering_leads_out_of_retired(events: list[DeviceEvent]) -> None:
    for (before, _), (after, event) in pairwise(walk("retired", events)):
        if before.state == "retired" and after.state != "retired":
            assert event is not None
            assert (event.kind, after.state) == ("registered", "new")


@given(st.lists(EVENTS, max_size=30))
def test_quarantine_is_left_only_by_a_passed_check_or_by_a_person(events: list[DeviceEvent]) -> None:
    for (before, _), (after, event) in pairwise(walk("quarantined", events)):
        if before.state == "quarantined" and after.state != "quarantined":
            assert event is not None
            assert event.kind in ("check passed", "registered", "held", "released", "retired")


@given(st.sampled_from(STATES), st.lists(EVENTS, max_size=30))
def test_nothing_that_is_out_of_work_becomes_busy_in_one_step(state: State, events: list[DeviceEvent]) -> None:
    for (before, _), (after, _) in pairwise(walk(state, events)):
        if before.state in NO_WORK:
            assert after.state not in ("busy", "cooling", "lost")


def test_a_reboot_loop_is_noticed_and_a_passed_check_forgets_it() -> None:
    record = DeviceRecord("desk", "busy", since_s=1.0)
    for at in range(MOST_REBOOTS):  # the first hello is no reboot
        record = step(record, DeviceEvent("seen", boot_id=f"boot {at}"), 100.0 * at)
        assert record.state == "busy"
    record = step(record, DeviceEvent("seen", boot_id="one more"), 1000.0)
    assert record.state == "quarantined"
    assert f"anew {MOST_REBOOTS} times" in record.reason
    record = step(record, DeviceEvent("check passed"), 1001.0)
    assert (record.state, record.reboots_s, record.fit) == ("ready", (), True)
    assert step(record, DeviceEvent("seen", boot_id="and again"), 1002.0).state == "ready"


@pytest.mark.parametrize("state", ["new", "retired", "quarantined", "maintenance"])
def test_what_a_check_found_before_says_nothing_of_what_is_registered_now(state: State) -> None:
    record = DeviceRecord("desk", state, checked_s=5.0, fit=True)
    again = step(record, DeviceEvent("registered"), 9.0)
    assert (again.state, again.fit, again.checked_s) == ("new", None, None)


@pytest.mark.parametrize("state", STATES)
def test_what_is_refused_is_said_in_words_and_not_by_an_events_name(state: State) -> None:
    for kind in KINDS:
        if kind in OBSERVATIONS or (state, kind) in TRANSITIONS:
            continue
        with pytest.raises(
            SpecError, match=rf"^desk is {state}: it can't be [a-z ]+\. What can be done: lutfarm device "
        ) as error:
            step(DeviceRecord("desk", state), DeviceEvent(kind), 2.0)
        listed = error.value.detail.partition("What can be done: ")[2].split(", ")
        assert all(re.fullmatch(r"lutfarm device [a-z]+ desk", one) for one in listed)


def test_reboots_far_apart_are_no_loop() -> None:
    record = DeviceRecord("desk", "ready", since_s=1.0)
    for at in range(3 * MOST_REBOOTS):
        record = step(record, DeviceEvent("seen", boot_id=f"boot {at}"), at * (REBOOT_WINDOW_S / 2 + 1))
    assert record.state == "ready"


@given(st.lists(st.sampled_from(["", "x"]), max_size=20))
def test_the_same_boot_seen_often_is_none(boots: list[str]) -> None:
    record = DeviceRecord("desk", "ready", since_s=1.0)
    for at, boot in enumerate(boots):
        record = step(record, DeviceEvent("seen", boot_id=boot), float(at))
    assert (record.state, record.reboots_s) == ("ready", ())


@pytest.mark.parametrize(
    ("state", "until_s", "held", "after"),
    [
        ("busy", None, True, "busy"),
        ("busy", None, False, "ready"),
        ("cooling", None, False, "ready"),
        ("cooling", 99.0, False, "ready"),
        ("cooling", 101.0, False, "cooling"),
        ("lost", None, False, "lost"),
        ("quarantined", None, False, "quarantined"),
        ("new", None, False, "new"),
    ],
)
def test_busy_lasts_no_longer_than_a_lease(state: State, until_s: float | None, held: bool, after: State) -> None:
    assert settled(DeviceRecord("desk", state, until_s=until_s), 100.0, held=held).state == after


def test_a_check_does_not_change_why_somebody_holds_a_device() -> None:
    held = DeviceRecord("desk", "maintenance", "new fan", 1.0)
    failed = step(held, DeviceEvent("check failed", "hot"), 5.0)
    assert (failed.reason, failed.since_s, failed.checked_s, failed.fit) == ("new fan", 1.0, 5.0, False)
    again = step(failed, DeviceEvent("held", "new battery"), 6.0)
    assert (again.reason, again.since_s) == ("new battery", 1.0)


def test_the_code_is_that_of_the_error_which_the_reason_tells_of() -> None:
    broken = step(DeviceRecord("desk", "busy"), DeviceEvent("device failed", "another key", code="RegistrationStale"), 1.0)
    assert (broken.reason, broken.code) == ("another key", "RegistrationStale")
    assert step(broken, DeviceEvent("check passed"), 2.0).code == ""
    assert step(broken, DeviceEvent("check failed", "hot", code="NotReady"), 2.0).code == "NotReady"
    held = step(broken, DeviceEvent("held", "new fan"), 2.0)
    assert step(held, DeviceEvent("check failed", "hot", code="NotReady"), 3.0).code == ""
