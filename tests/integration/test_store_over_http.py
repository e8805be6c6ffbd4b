"""What the commands of other machines ask of a served farm's store, and what they can't do to it."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from dataclasses import replace
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

from lutfarm.client.link import Link
from lutfarm.client.served_store import served_store
from lutfarm.devices.health_check import in_use
from lutfarm.devices.leases import LEASE_S
from lutfarm.home import Home
from lutfarm.records.device_state import DeviceEvent
from lutfarm.server.admission.tokens import new_token
from lutfarm.server.app import make_app
from lutfarm.server.served import MOST_STORE_STREAMS
from lutfarm.server.settings import Settings
from lutfarm.server.store_app import store_app
from lutfarm.store import Store, open_store
from lutfarm.store.interface import LeaseHolder
from lutfarm_agents import process_identity
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.round import Lease
from lutfarm_jobs.run import Run

JSON = {"Content-Type": "application/json"}
LUTFARM = str(Path(sys.executable).with_name("lutfarm"))
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

    def endless(*_: object, **__: object) -> Iterator[Run]:
        yield from itertools.repeat(run)

    monkeypatch.setattr(type(store), "runs", endless)

    def asked() -> AbstractContextManager[httpx.Response]:
        return client.stream("POST", f"{API}/store/read/runs", headers=JSON, content=b'["job-1", true]')

    with ExitStack() as unread:
        for _ in range(MOST_STORE_STREAMS):
            assert unread.enter_context(asked()).status_code == 200
        with asked() as refused:
            assert refused.status_code == 503
            assert b"ServerBusy" in refused.read()
        devices = client.post(f"{API}/store/read/devices", headers=JSON, content=b"[]")
        assert devices.status_code == 200, "what is no stream is answered"
    for _ in range(600):
        with asked() as again:
            if again.status_code == 200:
                return
        time.sleep(0.1)
    pytest.fail("the places of streams that ended were never free again")


@pytest.fixture
def elsewhere(client: httpx.Client, token: str) -> Iterator[Store]:
    """The store, as another machine has it."""
    with closing(served_store(Link(str(client.base_url), token))) as found:
        yield found


@pytest.mark.parametrize("ahead_s", [70.0, -1e6])
def test_a_machine_whose_clock_is_wrong_takes_no_device_from_another(store: Store, elsewhere: Store, ahead_s: float) -> None:
    me = str(process_identity.me())
    lease = store.acquire("desk", owner=me, holder="ann", now_s=time.time(), ttl_s=LEASE_S)
    assert isinstance(lease, Lease)
    wrong_s = time.time() + ahead_s
    assert elsewhere.acquire("desk", owner=kit.OWNER, holder="bob", now_s=wrong_s, ttl_s=LEASE_S) == "ann"
    assert elsewhere.lease_holder("desk", wrong_s) == LeaseHolder("ann", lease.expires_s)
    assert elsewhere.device_record("desk", wrong_s).state == store.device_record("desk", time.time()).state
    store.put_device(replace(kit.DESK, name="held"))
    elsewhere.step_device("held", DeviceEvent("held", "a fan"), wrong_s)
    assert abs(store.device_history("held")[-1].at_s - time.time()) < 3600
    with pytest.raises(SpecError):
        elsewhere.remove_device("desk", wrong_s)


@pytest.mark.parametrize("ttl_s", [1e9, -1.0])
def test_no_lease_is_longer_than_all_others(elsewhere: Store, ttl_s: float) -> None:
    lease = elsewhere.acquire("desk", owner=kit.OWNER, holder="bob", now_s=0.0, ttl_s=ttl_s)
    assert isinstance(lease, Lease)
    assert time.time() - LEASE_S < lease.expires_s - LEASE_S <= time.time()
    renewed = elsewhere.renew(lease, now_s=0.0, ttl_s=ttl_s)
    assert lease.expires_s <= renewed.expires_s <= time.time() + LEASE_S


def test_the_dispatcher_is_answered_while_everybody_else_keeps_all_threads_busy(store: Store) -> None:
    over, taken = threading.Event(), threading.Semaphore(0)

    def work() -> None:
        taken.release()
        over.wait()

    async def busy(_: Request) -> Response:
        async with anyio.create_task_group() as group:
            for _each in range(THREADS):
                group.start_soon(run_in_threadpool, work)
        return Response()

    app = Starlette(routes=[Route("/busy", busy), Mount("/inner", store_app(store, asked=nullcontext))])
    with served(app) as address:
        asking = threading.Thread(target=httpx.get, args=(f"{address}/busy",), kwargs={"timeout": None})
        asking.start()
        try:
            for _ in range(THREADS):
                assert taken.acquire(timeout=60)
            for method, content in (("farm_id", b"[]"), ("runs", b'["job-1", true]')):
                assert httpx.post(f"{address}/inner/{method}", content=content, timeout=60).status_code == 200, method
        finally:
            over.set()
            asking.join(60)


def typed(client: httpx.Client, token: str, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    named = {"LUTFARM_SERVER": str(client.base_url), "LUTFARM_TOKEN": token, "LUTFARM_HOME": str(home), "COLUMNS": "400"}
    return subprocess.run([LUTFARM, *words], env=os.environ | named, capture_output=True, text=True, timeout=240)


def test_a_device_is_looked_at_where_it_hangs_and_nowhere_else(
    store: Store, client: httpx.Client, token: str, tmp_path: Path
) -> None:
    store.put_device(replace(kit.DESK, name="far", host="bench"))
    home = tmp_path / "elsewhere"
    for words, said in (
        (("device", "check", "far"), "far hangs on the host 'bench'"),
        (("device", "check", "desk"), "desk hangs on the server's own machine"),
        (("device", "check", "desk", "--host", "bench"), "and this is the host 'bench'"),
        (("device", "register", "mine", "--local"), "say --host"),
    ):
        refused = typed(client, token, home, *words)
        assert refused.returncode == 2, words
        assert said in refused.stderr, words
    assert [each.checked_s for each in store.checks("desk")] == [7.0]
    assert not store.checks("far")
    assert store.device("mine") is None
    none = typed(client, token, home, "device", "check", "--all", "--host", "another", "--json")
    assert (none.returncode, json.loads(none.stdout)) == (0, [])


def test_which_devices_are_of_a_host(store: Store) -> None:
    store.put_device(replace(kit.DESK, name="far", host="bench"))
    assert in_use(store, 1.0) == ["desk", "far"]
    assert in_use(store, 1.0, "bench") == ["far"]
    assert in_use(store, 1.0, "local") == ["desk"]


@pytest.mark.parametrize("name", ["(server)", "", "a b", "x" * 200])
def test_nobody_takes_a_lease_of_what_is_no_device(elsewhere: Store, name: str) -> None:
    with pytest.raises(SpecError, match="is no name of a device"):
        elsewhere.acquire(name, owner=str(process_identity.me()), holder="eve", now_s=time.time(), ttl_s=LEASE_S)
