"""The hosts that devices hang on: who has joined, and how a machine joins."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Path, Response

from lutfarm.agent_pool.ray.whereabouts import Versions
from lutfarm.api.answers import Page
from lutfarm.api.hosts import DrainAnswer, HostAnswer, LeavingRequest, RayAnswer, SeenAnswer, SeenRequest
from lutfarm.api.root import API
from lutfarm.devices import maintenance
from lutfarm.records.device_state import NO_WORK
from lutfarm.records.host import HostSeen
from lutfarm.server import host_watch
from lutfarm.server.api.paging import CursorQuery, LimitQuery, after_of, page
from lutfarm.server.host_book import LOST_S
from lutfarm.server.served import CallerDep, Served, ServedDep
from lutfarm_jobs.errors import NotFound, SpecError
from lutfarm_jobs.job_file.fields import NAME_PATTERN

router = APIRouter(prefix=f"{API}/hosts", tags=["hosts"])
HostName = Annotated[str, Path(pattern=NAME_PATTERN)]


@router.get("")
def hosts(served: ServedDep, limit: LimitQuery = 100, cursor: CursorQuery = None) -> Page[HostAnswer]:
    """Hosts that have joined, and those that devices are registered on, by name."""
    now_s = time.time()
    return page(_known(served, now_s), lambda host: (host.name,), lambda host: host, limit=limit, after=after_of(cursor, (str,)))


def _known(served: Served, now_s: float) -> list[HostAnswer]:
    hanging: dict[str, list[str]] = {}
    for device in served.store.devices():
        if device.host != "local":
            hanging.setdefault(device.host, []).append(device.name)
    seen = {host.name: host for host in served.hosts.all()}
    return [_answer(name, seen.get(name), sorted(hanging.get(name, ())), now_s) for name in sorted({*hanging, *seen})]


def _answer(name: str, seen: HostSeen | None, devices: list[str], now_s: float) -> HostAnswer:
    if seen is None:
        return HostAnswer(name=name, address="", state="lost", lutfarm="", ray="", python="", seen_s=0.0, devices=devices)
    state = "lost" if now_s - seen.seen_s > LOST_S else "joined" if seen.joined else "joining"
    return HostAnswer(
        name=name,
        address=seen.address,
        state=state,
        lutfarm=seen.lutfarm,
        ray=seen.ray,
        python=seen.python,
        seen_s=seen.seen_s,
        devices=devices,
    )


@router.post("/{name}/seen")
def seen(served: ServedDep, name: HostName, asked: SeenRequest) -> SeenAnswer:
    """A host is there: asked every few seconds.  Refused where its versions are not those of the farm."""
    if name == "local":
        raise SpecError("local is what the server's own machine is called; choose another --name")
    if name in served.settings.hosts:
        raise SpecError(f"{name} is a name of the server's own machine (lutfarm serve --name); choose another --name")
    if served.executor == "ray":
        theirs = Versions(asked.lutfarm, asked.ray, asked.python)
        Versions.here().check(theirs, mine="on the server", others=f"on {name}")
    now_s = time.time()
    host = HostSeen(name, asked.session, asked.address, asked.lutfarm, asked.ray, asked.python, now_s, asked.joined)
    if served.hosts.saw(host):
        host_watch.back(served.store, name, now_s)
    where = served.ray()
    return SeenAnswer(ray=RayAnswer(address=where.address, token=where.token) if where else None, executor=served.executor)


@router.post("/{name}/leave", status_code=204)
def leave(served: ServedDep, name: HostName, asked: LeavingRequest) -> Response:
    """A host ends; its devices stay registered."""
    served.hosts.left(name, asked.session)
    return Response(status_code=204)


@router.post("/{name}/drain")
def drain(served: ServedDep, caller: CallerDep, name: HostName) -> DrainAnswer:
    """Take all devices of a host out of work for maintenance; each ends its present order."""
    now_s = time.time()
    devices = [device.name for device in served.store.devices() if device.host == name]
    if not devices:
        raise NotFound(f"no device hangs on a host {name!r}")
    held = [device for device in devices if served.store.device_record(device, now_s).state not in NO_WORK]
    for device in held:
        maintenance.hold(
            served.store, device, f"its host {name} is drained" + (f" ({caller.user})" if caller.user else ""), now_s
        )
    return DrainAnswer(held=held)


@router.delete("/{name}", status_code=204)
def remove(served: ServedDep, name: HostName) -> Response:
    """Forget a host that is lost and on which no device is registered."""
    if any(device.host == name for device in served.store.devices()):
        raise SpecError(f"devices hang on {name!r}: register them elsewhere, or remove them, first")
    if not served.hosts.forget(name, time.time()):
        raise NotFound(f"no host is called {name!r}")
    return Response(status_code=204)
