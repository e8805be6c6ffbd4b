"""A store that another process keeps: every method of the Store protocol, asked for over HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import httpx

from lutfarm.store.interface import Store
from lutfarm.store.rpc.frames import END, FAILED, ITEM, JSON, load_error
from lutfarm.store.rpc.methods import FARM_ID, Method, methods
from lutfarm_jobs.errors import ServerBusy, ServerUnreachable

ANSWER_S = 60.0  # a database that is busy is waited for by the server itself, half as long
TRIES, PAUSE_S = 60, 1.0  # of a server that is asked too often or is busy, and has not even looked at what it was asked
ASK = "is `lutfarm serve` running there?  What was measured until now is kept"


class RemoteStore:
    """Has the methods of the Store protocol; `cast` by `remote_store`.  A context manager."""

    def __init__(self, client: httpx.Client, place: str, path: Callable[[str], str]) -> None:
        """`place`: of the server, for people; `path`: under which path of it a method is asked for."""
        self._client, self._place, self._path = client, place, path
        self._farm_id = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    @property
    def farm_id(self) -> str:
        """Of the store: asked for once."""
        if not self._farm_id:
            self._farm_id = str(self._value(methods()[FARM_ID], b"[]"))
        return self._farm_id

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = methods().get(name)
        if method is None:
            raise AttributeError(f"a store has no {name}")

        def call(*args: Any, **named: Any) -> Any:
            content = method.ask(*args, **named)
            return self._stream(method, content) if method.streams else self._value(method, content)

        return call

    def _value(self, method: Method, content: bytes) -> Any:
        with self._asked(method, content) as response:
            return method.answered(response.read())

    def _stream(self, method: Method, content: bytes) -> Iterator[Any]:
        with self._asked(method, content) as response:
            for line in response.iter_lines():
                mark, rest = line[:1].encode(), line[1:].encode()
                if mark == ITEM:
                    yield method.answered(rest)
                elif mark == FAILED:
                    raise load_error(rest)
                elif mark == END:
                    return
            raise ServerUnreachable(f"{self._place}: the answer to {method.name} was cut off; try again")

    @contextmanager
    def _asked(self, method: Method, content: bytes) -> Generator[httpx.Response]:
        try:
            for left in reversed(range(TRIES)):
                with self._client.stream(
                    "POST", self._path(method.name), content=content, headers={"Content-Type": JSON}
                ) as response:
                    if response.is_success:
                        yield response
                        return
                    error = load_error(response.read())
                    if not left or not isinstance(error, ServerBusy):
                        raise error
                time.sleep(PAUSE_S)
        except httpx.HTTPError as error:
            raise ServerUnreachable(f"{self._place} does not answer: {error or type(error).__name__}; {ASK}") from error


def remote_store(client: httpx.Client, place: str, path: Callable[[str], str]) -> Store:
    """As the Store that it is: tests/contract holds every method of it to what a store does."""
    return cast(Store, RemoteStore(client, place, path))


def socket_store(path: Path) -> Store:
    """The store that a server answers for on a Unix socket."""
    transport = httpx.HTTPTransport(uds=str(path))
    return remote_store(
        httpx.Client(transport=transport, base_url="http://store/", timeout=ANSWER_S), f"the server at {path}", str
    )
