"""The states of a device and what moves it from one to another.  Pure: a table, and `step` over it.

Events are of two sorts.  An observation (a link was lost, a lease ended) is never refused: where it changes nothing the
device stays as it is.  A request (take a lease, release the device) is refused where the table has no entry for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from lutfarm_jobs.errors import WrongState

State = Literal["new", "ready", "busy", "cooling", "lost", "quarantined", "maintenance", "retired"]
Kind = Literal[
    "registered",
    "lease taken",
    "lease ended",
    "too hot",
    "cooled",
    "link lost",
    "device failed",
    "link failing",
    "host joined",
    "reboot loop",
    "seen",
    "check passed",
    "check failed",
    "held",
    "released",
    "retired",
]

STATES: tuple[State, ...] = get_args(State)
KINDS: tuple[Kind, ...] = get_args(Kind)
OBSERVATIONS: frozenset[Kind] = frozenset(
    {"lease ended", "too hot", "cooled", "link failing", "link lost", "host joined", "device failed", "reboot loop", "seen"}
)
NO_WORK: frozenset[State] = frozenset({"quarantined", "maintenance", "retired"})
"""States in which no job may take the device."""

MOST_REBOOTS = 3
REBOOT_WINDOW_S = 1800.0

_AT_WORK: tuple[State, ...] = ("new", "ready", "busy", "cooling", "lost")


def _rows(kind: Kind, to: State, *states: State) -> dict[tuple[State, Kind], State]:
    return {(state, kind): to for state in states}


TRANSITIONS: Mapping[tuple[State, Kind], State] = {
    **_rows("registered", "new", "new", "ready", "lost", "quarantined", "maintenance", "retired"),
    **_rows("lease taken", "busy", *_AT_WORK),
    **_rows("lease ended", "ready", "busy", "cooling"),
    **_rows("too hot", "cooling", "new", "ready", "busy", "cooling"),
    **_rows("cooled", "busy", "cooling"),
    **_rows("link failing", "busy", "busy"),  # the job tries again; a lease taken, again, says that it is well
    **_rows("link lost", "lost", *_AT_WORK),
    **_rows("host joined", "ready", "lost"),  # the machine it hangs on is there again: it is tried at once
    **_rows("device failed", "quarantined", *_AT_WORK, "quarantined"),
    **_rows("reboot loop", "quarantined", *_AT_WORK, "quarantined"),
    **_rows("check passed", "ready", "new", "ready", "cooling", "lost", "quarantined"),
    **_rows("check passed", "busy", "busy"),
    **_rows("check passed", "maintenance", "maintenance"),  # a person said so, and a person takes it back
    **_rows("check failed", "quarantined", *_AT_WORK, "quarantined"),
    **_rows("check failed", "maintenance", "maintenance"),
    **_rows("held", "maintenance", *_AT_WORK, "quarantined", "maintenance"),
    **_rows("released", "ready", "quarantined", "maintenance"),
    **_rows("retired", "retired", *_AT_WORK, "quarantined", "maintenance"),
}

_REQUESTS: Mapping[Kind, tuple[str, str]] = {
    "registered": ("registered", "lutfarm device register NAME"),
    "lease taken": ("given work", ""),
    "check passed": ("checked", "lutfarm device check NAME"),
    "check failed": ("checked", "lutfarm device check NAME"),
    "held": ("held", "lutfarm device hold NAME"),
    "released": ("released", "lutfarm device release NAME"),
    "retired": ("retired", "lutfarm device retire NAME"),
}
"""What is asked of a device, in words, and the command that asks it, where a person does."""


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """What happened to a device, or what is asked of it.

    `boot_id` names the device's present boot ("seen"; the hello's machine_id); `until_s` is when it will be
    looked at again ("too hot") or tried again ("link failing").  `code` is the class of the error that `reason` tells of.
    """

    kind: Kind
    reason: str = ""
    boot_id: str = ""
    until_s: float | None = None
    code: str = ""


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """What is known of one device's state.  Times are Unix times in seconds."""

    device: str
    state: State = "new"
    reason: str = ""
    since_s: float = 0.0  # of this state
    until_s: float | None = None  # cooling: when it is looked at again; busy: tried again
    checked_s: float | None = None  # the last check
    fit: bool | None = None  # what it found
    boot_id: str = ""  # of the last hello
    reboots_s: tuple[float, ...] = ()  # when another boot than the last was seen, within the window
    code: str = ""  # the class of the error that `reason` tells of; empty where it tells of none


@dataclass(frozen=True, slots=True)
class Transition:
    """One line of a device's history."""

    at_s: float
    event: Kind | Literal["removed"]
    before: State
    after: State
    reason: str


def allowed(state: State) -> tuple[Kind, ...]:
    """The requests that a device in this state accepts."""
    return tuple(kind for kind in KINDS if kind not in OBSERVATIONS and (state, kind) in TRANSITIONS)


def require(record: DeviceRecord, kind: Kind) -> None:
    """Raises WrongState where the request would be refused."""
    if kind not in OBSERVATIONS and (record.state, kind) not in TRANSITIONS:
        why = f" ({record.reason})" if record.reason else ""
        asked, _ = _REQUESTS[kind]
        possible = dict.fromkeys(done for each in allowed(record.state) if (done := _REQUESTS[each][1]))
        raise WrongState(
            f"{record.device} is {record.state}{why}: it can't be {asked}. What can be done: "
            f"{', '.join(possible).replace('NAME', record.device)}"
        )


def step(record: DeviceRecord, event: DeviceEvent, now_s: float) -> DeviceRecord:
    """The record after an event.  Raises WrongState for a request that the table has no entry for."""
    require(record, event.kind)
    if event.kind == "seen":
        return _seen(record, event.boot_id, now_s)
    state = TRANSITIONS.get((record.state, event.kind), record.state)
    record = _checked(record, event.kind, now_s)
    if (record.state, event.kind) not in TRANSITIONS:
        return record
    # A check does not change why somebody holds a device.
    kept = state == record.state and state in ("busy", "maintenance") and _is_check(event)
    return replace(
        record,
        state=state,
        reason=record.reason if kept else event.reason,
        code=record.code if kept else event.code,
        since_s=record.since_s if state == record.state and record.since_s else now_s,
        until_s=event.until_s if state == "cooling" or event.kind == "link failing" else _kept_until(record, event, state),
    )


def settled(record: DeviceRecord, now_s: float, *, held: bool) -> DeviceRecord:
    """The record as it is meant: a job that was killed could not say that its lease ended.

    `held`: whether a lease on the device is in force.
    """
    waits = record.state == "cooling" and record.until_s is not None and record.until_s > now_s
    if held or waits or record.state not in ("busy", "cooling"):
        return record
    return step(record, DeviceEvent("lease ended", "whoever held it ended without a word"), now_s)


def _kept_until(record: DeviceRecord, event: DeviceEvent, state: State) -> float | None:
    return record.until_s if state == record.state == "busy" and _is_check(event) else None


def _is_check(event: DeviceEvent) -> bool:
    return event.kind in ("check passed", "check failed")


def _checked(record: DeviceRecord, kind: Kind, now_s: float) -> DeviceRecord:
    if kind == "check passed":  # what was seen before is looked into
        return replace(record, checked_s=now_s, fit=True, reboots_s=())
    if kind == "check failed":
        return replace(record, checked_s=now_s, fit=False)
    if kind == "registered":  # it may be another piece of hardware than was checked before
        return replace(record, checked_s=None, fit=None, reboots_s=())
    if kind == "released":
        return replace(record, reboots_s=())
    return record


def _seen(record: DeviceRecord, boot_id: str, now_s: float) -> DeviceRecord:
    kept = tuple(at_s for at_s in record.reboots_s if now_s - at_s <= REBOOT_WINDOW_S)
    if not boot_id or boot_id == record.boot_id:
        return replace(record, reboots_s=kept)
    if record.boot_id:
        kept = (*kept, now_s)
    record = replace(record, boot_id=boot_id, reboots_s=kept)
    if len(kept) < MOST_REBOOTS:
        return record
    reason = (
        f"it started anew {len(kept)} times within {REBOOT_WINDOW_S / 60:.0f} min: look at its power supply, cooling "
        "and kernel log, then check it"
    )
    return step(record, DeviceEvent("reboot loop", reason), now_s)
