"""The devices of the farm: what they are, how they are, and taking them out of work."""

from __future__ import annotations

import logging
import time
from typing import Annotated

from fastapi import APIRouter, Path, Query

from lutfarm.api.answers import DeviceAnswer, DeviceDetail, DeviceStateAnswer, Page, TransitionAnswer
from lutfarm.api.requests import HoldRequest
from lutfarm.api.root import API
from lutfarm.devices import maintenance
from lutfarm.devices.registry import registered
from lutfarm.monitoring.device_status import device_status, open_jobs
from lutfarm.records.device_state import DeviceRecord, Transition
from lutfarm.server.api.paging import CursorQuery, LimitQuery, after_of, page
from lutfarm.server.served import CallerDep, ServedDep
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.job_file.fields import NAME_PATTERN

router = APIRouter(prefix=f"{API}/devices", tags=["devices"])
DeviceName = Annotated[str, Path(pattern=NAME_PATTERN)]
MOST_HISTORY = 500
log = logging.getLogger(__name__)


@router.get("")
def devices(served: ServedDep, limit: LimitQuery = 100, cursor: CursorQuery = None) -> Page[DeviceAnswer]:
    """All registered devices, by name."""
    now_s = time.time()
    return page(
        sorted(served.store.devices(), key=lambda device: device.name),
        lambda device: (device.name,),
        lambda device: DeviceAnswer.of(device, served.store.device_record(device.name, now_s)),
        limit=limit,
        after=after_of(cursor, (str,)),
    )


@router.get("/{name}")
def device(served: ServedDep, name: DeviceName) -> DeviceDetail:
    """One device: its state and why, what it does, what it last said of itself."""
    store, now_s = served.store, time.time()
    (found,) = registered(store, [name])
    hello, hello_s = store.hello(name) or (None, None)
    answer = DeviceAnswer.of(found, store.device_record(name, now_s))
    status = device_status(store, name, open_jobs(store), now_s)
    return DeviceDetail(**dict(answer), status=status, hello=hello, hello_s=hello_s)


@router.get("/{name}/history")
def history(
    served: ServedDep,
    name: DeviceName,
    limit: Annotated[int, Query(ge=1, le=MOST_HISTORY, description="so many of the newest")] = 50,
) -> list[TransitionAnswer]:
    """What happened to a device: its newest changes of state, the oldest first."""
    registered(served.store, [name])
    return [_shown(one) for one in served.store.device_history(name, most=limit)]


def _shown(one: Transition) -> TransitionAnswer:
    return TransitionAnswer(at_s=one.at_s, event=one.event, before=one.before, after=one.after, reason=one.reason)


@router.post("/{name}/hold")
def hold(served: ServedDep, caller: CallerDep, name: DeviceName, asked: HoldRequest) -> DeviceStateAnswer:
    """Take a device out of work for maintenance; a job ends its present order there and leaves it until it is released."""
    reason = "".join(c if c.isprintable() else " " for c in asked.reason).strip()
    if not reason:
        raise SpecError("reason: say why in a word or two; it is shown to everybody who asks for the device")
    said = f"{reason} ({caller.user})" if caller.user else reason
    held = maintenance.hold(served.store, name, said, time.time())
    log.info("device held", extra={"device": name, "user": caller.user, "reason": reason})
    return _state(held)


@router.post("/{name}/release")
def release(served: ServedDep, caller: CallerDep, name: DeviceName) -> DeviceStateAnswer:
    """Give a device in maintenance or quarantine back to work, unchecked."""
    released = maintenance.release(served.store, name, time.time())
    log.info("device released", extra={"device": name, "user": caller.user})
    return _state(released)


def _state(record: DeviceRecord) -> DeviceStateAnswer:
    return DeviceStateAnswer(name=record.device, state=record.state, reason=record.reason)
