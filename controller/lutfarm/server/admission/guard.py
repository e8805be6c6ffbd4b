"""Stands before every route: who asks, from where, how often, how much.  Plain ASGI, so that nothing is read before."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lutfarm.server.admission.rates import Rates
from lutfarm.server.admission.requests import refusal
from lutfarm.server.admission.roles import ROLES, Caller, least_role, may, takes_token
from lutfarm.server.errors import answer
from lutfarm.server.settings import Settings
from lutfarm_jobs.errors import AccessDenied, FarmError, NotFound, SpecError, TokenRefused, TooLarge, TooManyRequests

SECURITY_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Of every answer that does not say its own."""
SLOWEST_BYTES_PER_S = 10_000.0  # that a body may come in, once `silence_s` is over

PIECE_BYTES = 256_000  # of an answer, which must be taken within `unread_s`
SHOW_ONE = (
    "who joins hosts or changes devices shows a token, on the farm's own machine too: "
    "lutfarm token create USER --role operator there, and what it prints as LUTFARM_TOKEN"
)
log = logging.getLogger(__name__)
Who = Callable[[str, Mapping[str, str]], Awaitable[Caller | FarmError]]
"""From a client's address and a request's headers to who it is, or why nobody is let in."""


class Guard:
    """An ASGI application before another."""

    def __init__(self, app: ASGIApp, *, settings: Settings, who: Who) -> None:
        self._app, self._settings, self._who = app, settings, who
        self._rates = Rates(settings.requests_per_s, settings.burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers itself what is refused."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sending = _in_pieces(_with_security_headers(send), self._settings.unread_s)
        refused = await self._refused(scope)
        if refused is not None:
            error, status = refused
            await answer(error, status)(scope, receive, sending)
            return
        try:
            await self._app(scope, _bounded(receive, self._most_bytes(scope), self._settings.silence_s), sending)
        except _NotRead:  # the server closes a connection whose answer is not whole
            log.warning("an answer is not read, and was given up", extra={"client": scope.get("client"), "path": scope["path"]})

    async def _refused(self, scope: Scope) -> tuple[FarmError, int | None] | None:
        """Why the request goes no further, with a status where the error's own does not fit; None where it does go."""
        client = scope["client"][0] if scope.get("client") else ""
        if not self._rates.take(client, time.monotonic()):
            return TooManyRequests(f"more than {self._settings.requests_per_s:.0f} requests a second; ask less often"), None
        method, path = scope["method"], scope["path"]
        least = least_role(method, path)
        if least is None:
            return NotFound(f"there is no {path[:200]!r} here; see docs/api.md"), None
        if isinstance(least, tuple):
            return SpecError(f"{method} is not taken by {path[:200]!r}; {', '.join(least)} is"), 405
        if least == "anybody":
            return None
        headers = dict(Headers(scope=scope))
        error = refusal(method, headers, self._settings.hosts)
        if error is not None:
            return error, None if isinstance(error, AccessDenied) else 415
        try:
            caller = await self._who(client, headers)
        except FarmError as problem:  # the routes' own handlers stand behind this
            return problem, None
        if isinstance(caller, FarmError):
            return caller, None
        if not caller.user and takes_token(method, path):
            return TokenRefused(SHOW_ONE), None
        if not may(caller.role, least):
            return AccessDenied(f"a {caller.role} may not do this; it takes {' or '.join(ROLES[ROLES.index(least) :])}"), None
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._most_bytes(scope):
            return TooLarge(f"{length[:20]} bytes are too many; {self._most_bytes(scope)} is the most here"), None
        scope.setdefault("state", {})["caller"] = caller
        return None

    def _most_bytes(self, scope: Scope) -> int:
        return self._settings.largest_file_bytes if scope["method"] == "PUT" else self._settings.largest_body_bytes


def _with_security_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending


class _NotRead(Exception):
    """The client does not take its answer."""


def _in_pieces(send: Send, unread_s: float) -> Send:
    """An answer that is read: each piece has its time, so that one who does not read holds no memory."""

    async def sending(message: Message) -> None:
        body: bytes = message.get("body", b"")
        for at in range(0, max(1, len(body)), PIECE_BYTES):
            piece = dict(message)
            if len(body) > PIECE_BYTES:
                piece["body"] = body[at : at + PIECE_BYTES]
                piece["more_body"] = at + PIECE_BYTES < len(body) or message.get("more_body", False)
            with anyio.move_on_after(unread_s) as waiting:
                await send(piece)
            if waiting.cancelled_caught:
                raise _NotRead

    return sending


def _bounded(receive: Receive, most_bytes: int, silence_s: float) -> Receive:
    """A body that is not too long, and does not stand still."""
    begun_s, received, whole = time.monotonic(), 0, False

    async def receiving() -> Message:
        nonlocal received, whole
        if whole:  # from here on it is waited for that the client leaves
            return await receive()
        allowed_s = begun_s + silence_s + received / SLOWEST_BYTES_PER_S - time.monotonic()
        message: Message | None = None
        with anyio.move_on_after(max(0.0, min(silence_s, allowed_s))):
            message = await receive()
        if message is None:
            raise HTTPException(408, f"nothing came for {silence_s:.0f} s, or too slowly; send it again")
        received += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if received > most_bytes:
            raise HTTPException(413, f"more than {most_bytes} bytes, which is the most here")
        return message

    return receiving
