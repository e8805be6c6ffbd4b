"""The store, for the processes of a farm: POST a method's arguments to its name (see lutfarm.store.rpc)."""

from __future__ import annotations

from collections.abc import Callable, Collection

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from lutfarm.store.interface import Store
from lutfarm.store.rpc.answer import answer, method_called
from lutfarm.store.rpc.frames import JSON, LINES, dump_error
from lutfarm.store.rpc.methods import methods
from lutfarm_jobs.errors import FarmError, StoreError

REFUSED = 409


def store_app(store: Store, *, heard: Callable[[], None]) -> Starlette:
    """All methods, for whoever reaches it: to be bound to a socket of this user alone.  `heard`: told of each question."""

    async def ask(request: Request) -> Response:
        heard()
        return await answered(store, request.path_params["method"], await request.body(), allowed=methods())

    return Starlette(routes=[Route("/{method}", ask, methods=["POST"])])


async def answered(store: Store, name: str, content: bytes, *, allowed: Collection[str]) -> Response:
    """What the store says, or why it says nothing."""
    try:
        if name not in allowed:
            raise StoreError(f"{name[:40]!r} is nothing that the store does for you")
        result = await run_in_threadpool(answer, store, method_called(name), content)
    except FarmError as error:
        return Response(dump_error(error), REFUSED, media_type=JSON)
    if isinstance(result, bytes):
        return Response(result, media_type=JSON)
    return StreamingResponse(result, media_type=LINES)
