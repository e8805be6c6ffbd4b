"""The store itself, for lutfarm's own commands on other machines: what they read, and what hosts say of their devices.

Not part of the API that is promised: a command and a server of one version understand each other.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from lutfarm.server.admission.roles import API
from lutfarm.server.served import ServedDep
from lutfarm.server.store_app import answered
from lutfarm.store.rpc.methods import OF_DEVICES, READS

router = APIRouter(prefix=f"{API}/store", include_in_schema=False)


@router.post("/read/{method}")
async def read(served: ServedDep, method: str, request: Request) -> Response:
    """What changes nothing."""
    return await answered(served.store, method, await request.body(), allowed=READS, streams=served.store_streams)


@router.post("/devices/{method}")
async def of_devices(served: ServedDep, method: str, request: Request) -> Response:
    """What is known of devices."""
    return await answered(served.store, method, await request.body(), allowed=OF_DEVICES)
