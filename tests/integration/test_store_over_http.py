"""What the commands of other machines ask of a served farm's store, and what they can't do to it."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from tests import store_kit as kit
from tests.server_kit import API, client_of, served

from lutfarm.home import Home
from lutfarm.server.admission.tokens import new_token
from lutfarm.server.app import make_app
from lutfarm.server.served import MOST_STORE_STREAMS
from lutfarm.server.settings import Settings
from lutfarm.server.store_app import store_app
from lutfarm.store import Store, open_store

JSON = {"Content-Type": "application/json"}
THREADS = 40  # that AnyIO gives whoever names no others


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "home") as found:
        kit.fill_measured(found)
        yield found


@pytest.fixture
def token(store: Store) -> str:
    made, text = new_token("ann", "operator", time.time())
    store.put_token(made)
    return text


@pytest.fixture
def client(store: Store, token: str, tmp_path: Path) -> Iterator[httpx.Client]:
    with client_of(make_app(store, Home(tmp_path / "home"), settings=Settings()), token) as found:
        yield found


def test_streams_that_nobody_reads_are_few_and_make_room_when_they_end(
    store: Store, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = next(store.runs(kit.JOB.id))
    monkeypatch.setattr(type(store), "runs", lambda *_, **__: (one for one in itertools.repeat(run)))
    asked = ("POST", f"{API}/store/read/runs")
    sent = {"headers": JSON, "content": b'["job-1", true, null]'}
    with ExitStack() as unread:
        for _ in range(MOST_STORE_STREAMS):
            assert unread.enter_context(client.stream(*asked, **sent)).status_code == 200
        with client.stream(*asked, **sent) as refused:
            assert refused.status_code == 503
            assert b"ServerBusy" in refused.read()
        devices = client.post(f"{API}/store/read/devices", headers=JSON, content=b"[]")
        assert devices.status_code == 200, "what is no stream is answered"
    for _ in range(600):
        with client.stream(*asked, **sent) as again:
            if again.status_code == 200:
                return
        time.sleep(0.1)
    pytest.fail("the places of streams that ended were never free again")


def test_the_dispatcher_is_answered_while_everybody_else_keeps_all_threads_busy(store: Store) -> None:
    over, taken = threading.Event(), threading.Semaphore(0)

    def work() -> None:
        taken.release()
        over.wait()

    async def busy(_: Request) -> Response:
        async with anyio.create_task_group() as group:
            for _ in range(THREADS):
                group.start_soon(run_in_threadpool, work)
        return Response()

    app = Starlette(routes=[Route("/busy", busy), Mount("/inner", store_app(store, heard=lambda: None))])
    with served(app) as address:
        asking = threading.Thread(target=httpx.get, args=(f"{address}/busy",), kwargs={"timeout": None})
        asking.start()
        try:
            for _ in range(THREADS):
                assert taken.acquire(timeout=60)
            for method, content in (("farm_id", b"[]"), ("runs", b'["job-1", true, null]')):
                assert httpx.post(f"{address}/inner/{method}", content=content, timeout=60).status_code == 200, method
        finally:
            over.set()
            asking.join(60)
