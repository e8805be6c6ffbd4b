"""Whether it lives, whether it can work, and which one it is."""

from __future__ import annotations

import importlib.metadata
import time

from fastapi import APIRouter, Response

from lutfarm.api.answers import HealthAnswer, ReadyAnswer, VersionAnswer
from lutfarm.api.root import API
from lutfarm.server.served import ServedDep

router = APIRouter()


@router.get("/healthz", tags=["health"])
async def healthz() -> HealthAnswer:
    """The process answers."""
    return HealthAnswer()


@router.get("/readyz", tags=["health"], responses={503: {"model": ReadyAnswer, "description": "It can't work now"}})
def readyz(served: ServedDep, response: Response) -> ReadyAnswer:
    """The store answers, and the dispatcher was seen lately; 503 where it was not."""
    served.store.device("")  # no more than a look: whoever reaches the server may ask, as often as others are let
    seen_s = served.dispatcher_seen_s()
    ready = seen_s is not None and time.time() - seen_s <= served.settings.dispatcher_silence_s
    response.status_code = 200 if ready else 503
    return ReadyAnswer(ready=ready, store=True, dispatcher_seen_s=seen_s)


@router.get(f"{API}/version", tags=["health"])
async def version() -> VersionAnswer:
    """Which lutfarm this is."""
    return VersionAnswer(lutfarm=importlib.metadata.version("lutfarm"))
