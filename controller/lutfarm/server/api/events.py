"""How a job goes, told while it does: server-sent events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from lutfarm.api.root import API
from lutfarm.server.api.jobs import JobName
from lutfarm.server.served import Served, ServedDep
from lutfarm.store.interface import job_called

router = APIRouter(prefix=f"{API}/jobs", tags=["jobs"])
LOOK_S = 1.0  # how often the store is asked of a job, however many listen to it
ALIVE_S = 15.0  # a remark at least so often, so that nobody on the way takes the silence for the end
EVENT = {
    "type": "object",
    "properties": {"event": {"enum": ["job", "end", "again", "removed"]}, "data": {"type": "string"}},
    "required": ["event", "data"],
}
EVENTS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {"itemSchema": EVENT}}}}


@router.get("/{job_id}/events", response_class=StreamingResponse, responses=EVENTS)
async def events(served: ServedDep, job_id: JobName) -> StreamingResponse:
    """`job` with the job whenever its state or counts change, `end` with it once the farm has nothing more to do for it.

    `again` where it takes too long to listen to at one go, `removed` where the job is no more.
    """
    served.streams.require_room()
    job, _ = await run_in_threadpool(job_called, served.store, job_id)
    headers = {"X-Accel-Buffering": "no"}
    told = served.streams.counted(_told(served, job.id, served.settings.longest_events_s))
    return StreamingResponse(told, media_type="text/event-stream", headers=headers)


async def _told(served: Served, job_id: str, longest_s: float) -> AsyncGenerator[bytes]:
    begun_s = said_s = time.monotonic()
    last: str | None = None
    while time.monotonic() - begun_s < longest_s:
        job = await run_in_threadpool(partial(served.standings.of, job_id, oldest_s=0.9 * LOOK_S))
        if job is None:
            yield event("removed", "{}")
            return
        seen = job.model_dump_json()
        again = seen == last
        if not again:
            last, said_s = seen, time.monotonic()
            yield event("job", seen)
        if job.queue is None and (again or job.state != "queued"):  # one that is sent again is queued before it is in the queue
            yield event("end", seen)
            return
        if time.monotonic() - said_s > ALIVE_S:
            said_s = time.monotonic()
            yield b": it goes on\n\n"
        await asyncio.sleep(LOOK_S)
    yield event("again", "{}")


def event(name: str, data: str) -> bytes:
    """One event; `data` is JSON, which has no line of its own."""
    return f"event: {name}\ndata: {data}\n\n".encode()
