"""The store itself, for lutfarm's own commands on other machines: what they read, and what hosts say of their devices.

Not part of the API that is promised: a command and a server of one version understand each other.
"""

from __future__ import annotations

import re
import time
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from lutfarm.api.root import API
from lutfarm.devices.leases import LEASE_S
from lutfarm.server.served import ServedDep
from lutfarm.server.store_app import answered
from lutfarm.store.rpc.methods import OF_DEVICES, READS
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.job_file.fields import NAME_PATTERN

router = APIRouter(prefix=f"{API}/store", include_in_schema=False)


@router.post("/read/{method}")
async def read(served: ServedDep, method: str, request: Request) -> Response:
    """What changes nothing."""
    return await answered(
        served.store, method, await request.body(), allowed=READS, streams=served.store_streams, amended=by_this_clock
    )


@router.post("/devices/{method}")
async def of_devices(served: ServedDep, method: str, request: Request) -> Response:
    """What is known of devices."""
    return await answered(served.store, method, await request.body(), allowed=OF_DEVICES, amended=by_this_clock)


def by_this_clock(asked: dict[str, Any]) -> dict[str, Any]:
    """Leases run out by the server's clock, whatever time it is elsewhere, and none is longer than all others."""
    name = asked.get("device")
    if isinstance(name, str) and not re.fullmatch(NAME_PATTERN, name):  # the server's own claim is a lease too
        raise SpecError(f"{name[:80]!r} is no name of a device: letters, digits, . _ -")
    ours = {name: time.time() if name in ("now_s", "seen_s") else value for name, value in asked.items()}
    if "ttl_s" in ours and not 0 < ours["ttl_s"] <= LEASE_S:
        ours["ttl_s"] = LEASE_S
    return ours
