"""What one user may ask of a served farm, and what no host may be called."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests import store_kit as kit
from tests.server_kit import API, client_of

from lutfarm.home import Home
from lutfarm.records.device_state import DeviceEvent
from lutfarm.records.token import Role
from lutfarm.server.admission.tokens import new_token
from lutfarm.server.app import make_app
from lutfarm.server.settings import LOOPBACK_NAMES, Settings
from lutfarm.store import Store, open_store

JOB = """name: {name}
workloads: [{{operators: [conv_H14_W14_Cin8_Cout8_k1_s1_g1_relu]}}]
devices: [desk]
backends: [{{runtime: onnxruntime}}]
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "home") as found:
        found.put_device(kit.DESK)
        found.put_hello("desk", kit.HELLO, 5.0)
        found.step_device("desk", DeviceEvent("registered"), 5.0)
        yield found


@pytest.fixture
def client(store: Store, tmp_path: Path) -> Iterator[httpx.Client]:
    settings = Settings(hosts=(*LOOPBACK_NAMES, "farm"), most_waiting=2)
    with client_of(make_app(store, Home(tmp_path / "home"), settings=settings)) as found:
        yield found


def shown(store: Store, user: str, role: Role) -> dict[str, str]:
    token, text = new_token(user, role, time.time())
    store.put_token(token)
    return {"Authorization": f"Bearer {text}"}


def sent(client: httpx.Client, headers: dict[str, str], name: str) -> httpx.Response:
    return client.post(f"{API}/jobs", json={"job": JOB.format(name=name)}, headers=headers)


def test_one_user_fills_no_queue_for_the_others(store: Store, client: httpx.Client) -> None:
    ann, bob = shown(store, "ann", "submitter"), shown(store, "bob", "submitter")
    assert [sent(client, ann, name).status_code for name in ("one", "two")] == [201, 201]
    refused = sent(client, ann, "three")
    assert (refused.status_code, refused.json()["code"]) == (429, "TooManyRequests")
    assert "2 jobs of ann are in the queue already, and 2 is the most" in refused.json()["detail"]
    assert sent(client, ann, "two").status_code == 200, "what is in the queue is no new job"
    assert sent(client, bob, "three").status_code == 201
    store.dequeue(store.queue()[0].job_id)
    assert sent(client, ann, "four").status_code == 201


@pytest.mark.parametrize(("name", "words"), [("farm", "lutfarm serve --name"), ("local", "the server's own machine")])
def test_a_host_has_no_name_of_the_server(store: Store, client: httpx.Client, name: str, words: str) -> None:
    seen: dict[str, Any] = {
        "session": "0" * 32,
        "address": "10.0.0.7",
        "lutfarm": "1",
        "ray": "2",
        "python": "3",
        "joined": False,
    }
    headers = shown(store, "ann", "operator")
    refused = client.post(f"{API}/hosts/{name}/seen", json=seen, headers=headers)
    assert refused.status_code == 422
    assert words in refused.json()["detail"]
    assert "choose another --name" in refused.json()["detail"]
    assert client.post(f"{API}/hosts/bench/seen", json=seen, headers=headers).status_code == 200
