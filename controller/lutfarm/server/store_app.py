"""The store, for the processes of a farm: POST a method's arguments to its name (see lutfarm.store.rpc)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack

from anyio import CancelScope, CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from lutfarm.server.turnstile import Turnstile
from lutfarm.store.interface import Store
from lutfarm.store.rpc.answer import Amended, answer, method_called
from lutfarm.store.rpc.frames import JSON, LINES, dump_error
from lutfarm.store.rpc.methods import methods
from lutfarm_jobs.errors import FarmError, StoreError

REFUSED = 409
OWN_THREADS = 16  # of the socket's, so that whoever keeps the API's busy does not keep the dispatcher waiting


def store_app(store: Store, *, asked: Callable[[], AbstractContextManager[object]]) -> Starlette:
    """All methods, for whoever reaches it: to be bound to a socket of this user alone.  `asked`: around each question."""
    threads = CapacityLimiter(OWN_THREADS)

    async def ask(request: Request) -> Response:
        with asked():
            return await answered(store, request.path_params["method"], await request.body(), allowed=methods(), threads=threads)

    return Starlette(routes=[Route("/{method}", ask, methods=["POST"])])


async def answered(
    store: Store,
    name: str,
    content: bytes,
    *,
    allowed: Collection[str],
    threads: CapacityLimiter | None = None,
    streams: Turnstile | None = None,
    amended: Amended = dict,
) -> Response:
    """What the store says, or why it says nothing.

    `threads`: of the server's, those that may be used; `streams`: through which whoever asks for a stream comes, since one holds
    a connection of the database until it is read.  Raises ServerBusy there.
    """
    with ExitStack() as turn:
        if streams is not None and name in allowed and method_called(name).streams:
            turn.enter_context(streams.turn())
        try:
            if name not in allowed:
                raise StoreError(f"{name[:40]!r} is nothing that the store does for you")
            result = await to_thread.run_sync(answer, store, method_called(name), content, amended, limiter=threads)
        except FarmError as error:
            return Response(dump_error(error), REFUSED, media_type=JSON)
        if isinstance(result, bytes):
            return Response(result, media_type=JSON)
        return _Stream(result, turn.pop_all(), threads)


class _Stream(StreamingResponse):
    """Lines as they are read; the turn is over when they are, or nobody reads them."""

    def __init__(self, lines: Generator[bytes], turn: ExitStack, threads: CapacityLimiter | None) -> None:
        super().__init__(_read(lines, threads), media_type=LINES)
        self._lines, self._turn, self._threads = lines, turn, threads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._turn:
            try:
                await super().__call__(scope, receive, send)
            finally:
                with CancelScope(shield=True):
                    await to_thread.run_sync(self._lines.close, limiter=self._threads)


async def _read(lines: Iterator[bytes], threads: CapacityLimiter | None) -> AsyncIterator[bytes]:
    while (line := await to_thread.run_sync(next, lines, None, limiter=threads)) is not None:
        yield line
