"""What the API says of jobs and devices, and whom it answers at all; over a real store and a real port."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from tests import store_kit as kit
from tests.server_kit import API, HIDDEN, client_of, served

from lutfarm.home import Home
from lutfarm.server import patient_http
from lutfarm.server.admission.roles import LEAST_ROLE
from lutfarm.server.app import make_app
from lutfarm.server.settings import Settings
from lutfarm.store import Store, open_store
from lutfarm_jobs.errors import StoreError, class_of

SPEC = """{"name": "job", "workloads": [{"operators": ["conv_H14_W14_Cin8_Cout8_k1_s1_g1_relu"]}], "devices": ["desk"],
"backends": [{"runtime": "onnxruntime"}]}"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with open_store(home.path) as found:
        kit.fill_measured(found)
        yield found


@pytest.fixture
def app(store: Store, home: Home) -> FastAPI:
    return make_app(store, home, settings=Settings())


@pytest.fixture
def client(app: FastAPI) -> Iterator[httpx.Client]:
    with client_of(app) as found:
        yield found


def refused(answer: httpx.Response, status: int, words: str) -> None:
    """An error of the one form, whose code names a class of ours."""
    assert answer.status_code == status, answer.text
    content = answer.json()
    assert content.keys() == {"code", "detail"}
    assert class_of(content["code"]) is not None
    assert words in content["detail"]
    assert "Traceback" not in answer.text


def test_every_route_has_a_role_and_every_role_a_route(app: FastAPI) -> None:
    routes = {(method.upper(), path) for path, known in app.openapi()["paths"].items() for method in known}
    assert routes == set(LEAST_ROLE) - HIDDEN


def test_it_lives_and_is_ready_while_its_dispatcher_is_seen(store: Store, home: Home) -> None:
    seen: list[float | None] = [None]
    with client_of(make_app(store, home, settings=Settings(), dispatcher_seen_s=lambda: seen[0])) as client:
        assert client.get("/healthz").json() == {"ok": True}
        assert client.get("/readyz").status_code == 503
        seen[0] = time.time()
        assert client.get("/readyz").json()["ready"] is True
        seen[0] = time.time() - 3600
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["ready"]) == (503, False)


def test_whether_it_is_ready_is_said_without_reading_all_that_waits(
    store: Store, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def costly(*_: object, **__: object) -> None:
        raise StoreError("this reads all of it")

    for name in ("queue", "jobs", "devices"):
        monkeypatch.setattr(type(store), name, costly)
    assert client.get("/readyz").json()["store"] is True
    monkeypatch.setattr(type(store), "device", costly)
    assert client.get("/readyz").json()["code"] == "StoreError"


def test_jobs_are_listed_in_pages_the_newest_first(store: Store, client: httpx.Client) -> None:
    for number in range(5):
        store.open_job(replace(kit.JOB, id=f"more-{number}", name="more", created_s=200.0), kit.PLAN[:1])
    found: list[str] = []
    cursor: str | None = None
    while True:
        answer = client.get(f"{API}/jobs", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        assert len(answer["items"]) <= 2
        found += [one["id"] for one in answer["items"]]
        cursor = answer["next"]
        if cursor is None:
            break
    assert found == [job.id for job, _ in sorted(store.jobs(), key=lambda each: (-each[0].created_s, each[0].id))]
    assert found[:5] == [f"more-{number}" for number in range(5)]
    assert client.get(f"{API}/jobs/job-1").json()["counts"] == {"measurements": 2, "runs": 2, "reused_runs": 0, "failures": 1}


def test_a_job_is_found_by_its_name_and_says_why(store: Store, client: httpx.Client) -> None:
    store.open_job(replace(kit.JOB, id="told-1", name="told", spec_json=SPEC), kit.PLAN[:1])
    assert client.get(f"{API}/jobs/told").json()["spec"]["devices"] == ["desk"]
    (why,) = client.get(f"{API}/jobs/told/why").json()["devices"]
    assert (why["device"], why["state"], why["left"]) == ("desk", "maintenance", 1)
    refused(client.get(f"{API}/jobs/nobody/why"), 404, "no job is called 'nobody'")


def test_a_device_says_what_it_is_and_what_happened_to_it(client: httpx.Client) -> None:
    (listed,) = client.get(f"{API}/devices").json()["items"]
    assert (listed["name"], listed["state"], listed["reason"]) == ("desk", "maintenance", "new fan")
    assert "address" not in listed
    whole = client.get(f"{API}/devices/desk").json()
    assert listed.items() <= whole.items()
    assert whole["hello"]["cpu_model"] == "cpu"
    assert [one["event"] for one in client.get(f"{API}/devices/desk/history").json()] == ["held"]
    refused(client.get(f"{API}/devices/nix"), 404, "no device is registered as 'nix'")


def test_a_device_is_held_and_released(store: Store, client: httpx.Client) -> None:
    desk = f"{API}/devices/desk"
    assert client.post(f"{desk}/release", json={}).json()["state"] == "ready"
    refused(client.post(f"{desk}/release", json={}), 409, "desk is ready")
    refused(client.post(f"{desk}/hold", json={"reason": " "}), 422, "say why")
    assert client.post(f"{desk}/hold", json={"reason": "a\x1b[31mfan"}).json()["state"] == "maintenance"
    assert store.device_record("desk", 0.0).reason == "a [31mfan"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nowhere", 404),
        (f"{API}/jobs/%00", 422),
        (f"{API}/jobs/..%2f..%2fetc", 404),
        (f"{API}/devices/{'a' * 5000}", 422),
        (f"{API}/jobs?limit=0", 422),
        (f"{API}/jobs?limit=100000", 422),
        (f"{API}/jobs?cursor=e30", 422),
        (f"{API}/jobs?cursor=%00", 422),
    ],
)
def test_what_is_no_request_is_told_so(client: httpx.Client, path: str, status: int) -> None:
    refused(client.get(path), status, "")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Content-Type": "text/plain"}, 415),
    ],
)
def test_another_site_moves_nothing(store: Store, client: httpx.Client, headers: dict[str, str], status: int) -> None:
    before = store.device_record("desk", 0.0)
    answer = client.post(f"{API}/devices/desk/release", content="{}", headers={"Content-Type": "application/json"} | headers)
    refused(answer, status, "")
    assert "access-control-allow-origin" not in answer.headers
    assert store.device_record("desk", 0.0) == before


def test_another_method_is_told_which_there_are(client: httpx.Client) -> None:
    refused(client.delete(f"{API}/devices/desk/hold"), 405, "POST is")
    refused(client.request("TRACE", f"{API}/jobs"), 405, "GET")


def test_every_answer_carries_what_keeps_a_browser_safe(client: httpx.Client) -> None:
    for path in ("/healthz", f"{API}/jobs", "/nowhere", f"{API}/devices/nix"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["cache-control"] == "no-store"


def test_a_client_that_asks_too_often_waits(store: Store, home: Home) -> None:
    with client_of(make_app(store, home, settings=Settings(requests_per_s=0.001, burst=3))) as client:
        assert [client.get(f"{API}/version").status_code for _ in range(3)] == [200, 200, 200]
        answer = client.get(f"{API}/version")
        refused(answer, 429, "ask less often")
        assert int(answer.headers["retry-after"]) > 0


def test_a_body_that_is_too_large_is_not_read(store: Store, home: Home) -> None:
    with client_of(make_app(store, home, settings=Settings(largest_body_bytes=100))) as client:
        path = f"{API}/devices/desk/hold"
        refused(client.post(path, json={"reason": "x" * 200}), 413, "100 is the most")
        pieces = iter([b'{"reason": "', *[b"x" * 50] * 10, b'"}'])
        refused(client.post(path, content=pieces, headers={"Content-Type": "application/json"}), 413, "100 bytes")
        assert client.post(f"{API}/devices/desk/release", json={}).status_code == 200


def test_a_body_that_stands_still_is_given_up(store: Store, home: Home) -> None:
    head = "\r\n".join(
        (
            f"POST {API}/devices/desk/hold HTTP/1.1",
            *("Host: 127.0.0.1", "Content-Type: application/json", "Content-Length: 9"),
            *("", ""),
        )
    )
    with served(make_app(store, home, settings=Settings(silence_s=0.2))) as address:
        with socket.create_connection(address_of(address), timeout=60) as link:
            link.sendall(head.encode() + b"{")
            assert link.recv(4096).startswith(b"HTTP/1.1 408 ")
        with socket.create_connection(address_of(address), timeout=60) as link:  # one that leaves in the middle
            link.sendall(head.encode() + b"{")
        assert httpx.get(f"{address}/healthz").status_code == 200
    assert store.device_record("desk", 0.0).state == "maintenance"


def address_of(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").partition(":")
    return host, int(port)


def test_a_request_that_does_not_begin_is_not_waited_for(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patient_http, "HEAD_S", 0.3)
    whole = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with served(app) as url:
        for said in (b"", b"GET /healthz HT", whole[:-2]):
            with socket.create_connection(address_of(url), timeout=60) as link:
                link.sendall(said)
                assert link.recv(4096) == b""
        with socket.create_connection(address_of(url), timeout=60) as link:
            link.sendall(whole + whole[:10])
            answer = b""
            while got := link.recv(4096):
                answer += got
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert answer.count(b"HTTP/1.1") == 1
        assert httpx.get(f"{url}/healthz").status_code == 200


def test_an_answer_that_nobody_reads_is_given_up(store: Store, home: Home, caplog: pytest.LogCaptureFixture) -> None:
    large = replace(kit.JOB, id="large-1", name="large", spec_json=json.dumps({"name": "x" * 30_000_000}))
    store.open_job(large, kit.PLAN[:1])
    head = f"GET {API}/jobs/large HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with served(make_app(store, home, settings=Settings(unread_s=0.5))) as url:
        assert len(httpx.get(f"{url}{API}/jobs/large", timeout=60).content) > 30_000_000
        assert "given up" not in caplog.text
        with socket.create_connection(address_of(url), timeout=60) as link:
            link.sendall(head)
            for _ in range(600):
                if "an answer is not read, and was given up" in caplog.text:
                    break
                time.sleep(0.05)
            assert "an answer is not read, and was given up" in caplog.text
        assert httpx.get(f"{url}/healthz").status_code == 200


def test_a_server_that_others_reach_lets_nobody_in_for_nothing(store: Store, home: Home) -> None:
    with client_of(make_app(store, home, settings=Settings(loopback=False))) as client:
        answer = client.get(f"{API}/jobs")
        refused(answer, 401, "no token was made yet")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert client.get("/healthz").status_code == 200


def test_an_error_of_ours_shows_nothing_of_itself(store: Store, client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(type(store), "jobs", broken)
    answer = client.get(f"{API}/jobs")
    refused(answer, 500, "please report it")
    assert "secret" not in answer.text


def test_a_store_that_does_not_answer_is_said(store: Store, client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*_: object, **__: object) -> None:
        raise StoreError("the database is locked")

    monkeypatch.setattr(type(store), "jobs", locked)
    answer = client.get(f"{API}/jobs")
    refused(answer, 503, "the database is locked")
    assert int(answer.headers["retry-after"]) > 0
