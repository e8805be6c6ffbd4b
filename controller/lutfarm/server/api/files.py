"""The files that jobs name: sent before the job, each by its content."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.concurrency import contextmanager_in_threadpool
from starlette.concurrency import run_in_threadpool

from lutfarm.api.answers import FileAnswer
from lutfarm.api.root import API
from lutfarm.server.served import ServedDep
from lutfarm_jobs.errors import NotFound

router = APIRouter(prefix=f"{API}/files", tags=["files"])
Sha256Path = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="of the content, in lower-case hexadecimal digits")]
BODY = {
    "requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get("/{sha256}")
def file(served: ServedDep, sha256: Sha256Path) -> FileAnswer:
    """Whether the farm has a file, so that it need not be sent; asking keeps it for a day more."""
    size_bytes = served.uploads.size(sha256)
    if size_bytes is None:
        raise NotFound(f"the farm has no file {sha256}, or no more; PUT it here")
    return FileAnswer(sha256=sha256, size_bytes=size_bytes)


@router.put("/{sha256}", status_code=201, openapi_extra=BODY)
async def put_file(served: ServedDep, sha256: Sha256Path, request: Request) -> FileAnswer:
    """Send a file.  It is kept for a day, and as long as a job that names it."""
    length = request.headers.get("content-length", "")
    announced_bytes = int(length) if length.isdecimal() else 0
    async with contextmanager_in_threadpool(served.uploads.receiving(sha256, announced_bytes)) as incoming:
        async for chunk in request.stream():
            await run_in_threadpool(incoming.add, chunk)
    return FileAnswer(sha256=sha256, size_bytes=incoming.size_bytes)
