"""One way to a server: requests out, checked answers in, errors as ours."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from lutfarm.api.root import API
from lutfarm_jobs.errors import FarmError, ServerBusy, ServerUnreachable, SpecError, class_of, from_wire

Answer = TypeVar("Answer")
CONNECT_S = 10.0
SILENCE_S = 180.0  # a table of a large job is made before its first byte comes
TRIES = 6  # of a request that a busy server sends away
PAUSE_S = 1.0  # longer each time
LARGEST_ANSWER_BYTES = 1 << 30
LONGEST_ERROR_BYTES = 100_000
HERE = ("localhost", "127.0.0.1", "::1")


class Link:
    """To one server; a context manager, to be used from any thread."""

    def __init__(self, url: str, token: str = "", *, silence_s: float = SILENCE_S) -> None:
        """`silence_s`: for so long an answer may not come.  Raises SpecError for an address that is none."""
        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, TypeError) as error:
            raise SpecError(f"{url[:200]!r} is no address of a farm: {error}") from error
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise SpecError(f"{url[:200]!r} is no address of a farm; write for example http://127.0.0.1:8420")
        if parsed.userinfo:
            raise SpecError("the address of a farm holds no user or password; give the token apart from it")
        if token and not (token.isascii() and token.isprintable() and " " not in token):
            raise SpecError("the token is none: it is printable, without a space; lutfarm token create prints one")
        self.place = str(parsed)
        self._client = httpx.Client(
            base_url=parsed,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=httpx.Timeout(silence_s, connect=CONNECT_S),
            trust_env=parsed.host not in HERE,  # a proxy that others are reached through does not know this machine's own address
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of its connections."""
        self._client.close()

    @property
    def client(self) -> httpx.Client:
        """Under it all."""
        return self._client

    def get(self, path: str, answer: type[Answer], **params: object) -> Answer:
        """The checked answer to a question.  Raises the FarmError that the server answers; ServerUnreachable without one."""
        return _checked(answer, self.asked("GET", path, params=params), self.place)

    def send(self, method: str, path: str, answer: type[Answer], content: BaseModel | None = None) -> Answer:
        """As `get`, for what changes something or carries a body."""
        return _checked(answer, self.tell(method, path, content), self.place)

    def tell(self, method: str, path: str, content: BaseModel | None = None) -> bytes:
        """As `send`, where what is answered is not read."""
        body = None if content is None else content.model_dump_json(exclude_unset=True).encode()
        headers = {"Content-Type": "application/json"} if method == "POST" else {}  # a page that asks unasked can't say that
        return self.asked(method, path, content=body, headers=headers)

    def asked(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        content: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """The bytes of an answer.  A busy server is asked again, where what is sent can be sent twice."""
        again = content is None or isinstance(content, bytes)
        for tried in range(1, TRIES + 1):
            try:
                with self.answer(method, path, params=params, content=content, headers=headers) as found:
                    return _whole(found, LARGEST_ANSWER_BYTES, self.place)
            except ServerBusy:
                if tried == TRIES or not again:
                    raise
                time.sleep(PAUSE_S * tried)
        raise AssertionError("unreachable")

    @contextmanager
    def answer(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        content: Any = None,
        headers: Mapping[str, str] | None = None,
        silence_s: float | None = None,
    ) -> Generator[httpx.Response]:
        """An answer that is still to be read.  Raises the FarmError that the server answers."""
        said = {name: _text(value) for name, value in (params or {}).items() if value is not None}
        timeout = self._client.timeout if silence_s is None else httpx.Timeout(silence_s, connect=CONNECT_S)
        try:
            with self._client.stream(
                method, f"{API}{path}", params=said, content=content, headers=dict(headers or {}), timeout=timeout
            ) as found:
                if not found.is_success:
                    raise _error(found, self.place)
                yield found
        except httpx.HTTPError as error:
            seen = str(error) or type(error).__name__
            raise ServerUnreachable(
                f"{self.place} does not answer: {seen[:200]}; see that lutfarm serve runs there, and the address"
            ) from error


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _whole(found: httpx.Response, most_bytes: int, place: str) -> bytes:
    content = bytearray()
    for chunk in found.iter_bytes():
        content += chunk
        if len(content) > most_bytes:
            raise ServerUnreachable(f"{place} answers with more than {most_bytes} bytes, which no farm does")
    return bytes(content)


class _Error(BaseModel):
    code: str
    detail: str


def _error(found: httpx.Response, place: str) -> FarmError:
    """What an answer says went wrong; one that no server of ours gave is quoted."""
    content = _whole(found, LONGEST_ERROR_BYTES, place)
    try:
        said = _Error.model_validate_json(content)
    except ValidationError:
        start = content[:200].decode("utf-8", "replace")
        return ServerUnreachable(f"{place} answers {found.status_code} and is no farm of ours, or a proxy before one: {start!r}")
    if class_of(said.code) is None:
        return ServerUnreachable(
            f"{place} answers {found.status_code} {said.code[:80]!r}, of another version: {said.detail[:2000]}"
        )
    return from_wire(said.code, said.detail[:10_000])


def _checked(kind: type[Answer], content: bytes, place: str) -> Answer:
    try:
        return TypeAdapter(kind).validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))[:200]
        raise ServerUnreachable(
            f"{place} answers what is not understood here ({where}: {first['msg'][:200]}); are both of one version of lutfarm?"
        ) from error
