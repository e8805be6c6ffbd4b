"""From an error to an answer: the one place where a FarmError gets a status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from lutfarm_jobs.errors import (
    AccessDenied,
    DeviceError,
    FarmError,
    LeaseLost,
    LinkError,
    MeasurementError,
    NotFound,
    ServerBug,
    ServerBusy,
    SpecError,
    StoreError,
    StoreUnwritable,
    TokenRefused,
    TooLarge,
    TooManyRequests,
    WrongState,
)

_BY_KIND: Sequence[tuple[type[FarmError], int]] = (
    (TokenRefused, 401),
    (AccessDenied, 403),
    (NotFound, 404),
    (WrongState, 409),
    (TooLarge, 413),
    (SpecError, 422),
    (TooManyRequests, 429),
    (ServerBusy, 503),
    (LinkError, 503),
    (DeviceError, 409),
    (MeasurementError, 409),
    (LeaseLost, 409),
    (StoreUnwritable, 507),
    (StoreError, 503),
)
_CODES: Mapping[int, type[FarmError]] = {404: NotFound, 405: SpecError, 413: TooLarge, 429: TooManyRequests, 503: ServerBusy}
MOST_PROBLEMS = 10
LONGEST_DETAIL = 4000
RETRY_AFTER_S = 2


class ErrorAnswer(BaseModel):
    """What went wrong.  `code` is a name of lutfarm_jobs/errors.py, `detail` says what was seen and what to do next."""

    code: str
    detail: str = Field(max_length=LONGEST_DETAIL)


def status_of(error: FarmError) -> int:
    """The status of an error."""
    return next((status for kind, status in _BY_KIND if isinstance(error, kind)), 500)


def answer(error: FarmError, status: int | None = None) -> JSONResponse:
    """An error as an answer."""
    status = status_of(error) if status is None else status
    headers: dict[str, str] = {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status in (429, 503):
        headers["Retry-After"] = str(RETRY_AFTER_S)
    content = {"code": error.code, "detail": error.detail[:LONGEST_DETAIL]}
    return JSONResponse(content, status, headers)


def add_handlers(app: FastAPI) -> None:
    """Every error that leaves a route becomes an answer of one form; none shows a traceback."""

    def farm_error(_: Request, error: Exception) -> JSONResponse:
        return answer(cast(FarmError, error))

    def refused(_: Request, error: Exception) -> JSONResponse:
        return answer(SpecError(_problems(cast(RequestValidationError, error).errors())))

    def http_error(_: Request, error: Exception) -> JSONResponse:
        seen = cast(HTTPException, error)
        return answer(_CODES.get(seen.status_code, SpecError)(seen.detail), seen.status_code)

    def left(_: Request, __: Exception) -> JSONResponse:
        return answer(SpecError("the request broke off; send it again"), 400)

    def bug(_: Request, __: Exception) -> JSONResponse:
        return answer(ServerBug(), 500)

    app.add_exception_handler(FarmError, farm_error)
    app.add_exception_handler(RequestValidationError, refused)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(ClientDisconnect, left)
    app.add_exception_handler(500, bug)


def _problems(problems: Sequence[Any]) -> str:
    """One clause a problem: where, and what is wrong."""
    lines = [f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in problems[:MOST_PROBLEMS]]
    more = len(problems) - MOST_PROBLEMS
    return "; ".join(line[:300] for line in lines) + (f"; and {more} more" if more > 0 else "")
