"""Who comes in: every route with every kind of token, over a real store; and `lutfarm token`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests import store_kit as kit
from tests.server_kit import API, client_of

from lutfarm.home import Home
from lutfarm.records.token import Role
from lutfarm.server.admission.roles import LEAST_ROLE, ROLES
from lutfarm.server.admission.tokens import new_token
from lutfarm.server.app import make_app
from lutfarm.server.settings import Settings
from lutfarm.store import Store, open_store
from lutfarm_jobs.errors import SpecError, StoreError

LUTFARM = str(Path(sys.executable).with_name("lutfarm"))
FILLED = {"job_id": "nix", "name": "nix", "sha256": "0" * 64, "method": "nix"}
CARRIED = {"POST": "application/json", "PUT": "application/octet-stream"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "home") as found:
        kit.fill_measured(found)
        yield found


@pytest.fixture
def client(store: Store, tmp_path: Path) -> Iterator[httpx.Client]:
    """Of a server that other machines reach."""
    with client_of(make_app(store, Home(tmp_path / "home"), settings=Settings(loopback=False))) as found:
        yield found


def made(store: Store, role: Role, **changes: float) -> str:
    token, text = new_token("ann", role, time.time(), **changes)
    store.put_token(token)
    return text


def asked(client: httpx.Client, method: str, path: str, authorization: str | None) -> int:
    headers = {} if authorization is None else {"Authorization": authorization}
    content = {} if method not in CARRIED else {"content": b"{}"}
    if method in CARRIED:
        headers["Content-Type"] = CARRIED[method]
    with client.stream(method, path.format(**FILLED), headers=headers, **content) as answer:
        return answer.status_code


def test_no_route_lets_anybody_in_without_a_good_token(store: Store, client: httpx.Client) -> None:
    revoked, expired = made(store, "admin"), made(store, "admin", expires_s=time.time() + 0.01)
    (token,) = [t for t in store.tokens() if t.expires_s is None]
    store.revoke_token(token.id, time.time())
    time.sleep(0.02)
    for (method, path), role in LEAST_ROLE.items():
        for sent in (None, "", "Bearer", "Bearer x", f"Basic {revoked}", f"Bearer {revoked}", f"Bearer {expired}"):
            status = asked(client, method, path, sent)
            assert (status == 401) == (role != "anybody"), (method, path, sent, status)


@pytest.mark.parametrize("role", ROLES)
def test_each_role_comes_as_far_as_its_own_routes(store: Store, client: httpx.Client, role: Role) -> None:
    sent = f"Bearer {made(store, role)}"
    for (method, path), least in LEAST_ROLE.items():
        enough = least == "anybody" or ROLES.index(role) >= ROLES.index(least)
        status = asked(client, method, path, sent)
        assert (status == 403) == (not enough), (method, path, role, status)
        assert status != 401


def test_what_hands_out_more_than_this_farm_takes_a_token_where_nothing_else_does(store: Store, tmp_path: Path) -> None:
    seen = {"session": "0" * 32, "address": "127.0.0.2", "lutfarm": "1", "ray": "2", "python": "3", "joined": False}
    asked = ((f"{API}/hosts/b/seen", json.dumps(seen)), (f"{API}/store/devices/put_hello", "[]"))
    with client_of(make_app(store, Home(tmp_path / "home"), settings=Settings())) as here:
        assert here.get(f"{API}/jobs").status_code == 200
        for path, content in asked:
            answer = here.post(path, content=content, headers={"Content-Type": "application/json"})
            assert answer.status_code == 401, path
            assert "lutfarm token create" in answer.json()["detail"]
        assert here.get(f"{API}/hosts").json()["items"] == []
        headers = {"Authorization": f"Bearer {made(store, 'operator')}", "Content-Type": "application/json"}
        for path, content in asked:
            assert here.post(path, content=content, headers=headers).status_code not in (401, 403), path


def test_a_token_that_is_revoked_is_refused_at_once(store: Store, client: httpx.Client) -> None:
    sent = {"Authorization": f"Bearer {made(store, 'viewer')}"}
    assert client.get(f"{API}/jobs", headers=sent).status_code == 200
    store.revoke_token(store.tokens()[-1].id, time.time())
    assert client.get(f"{API}/jobs", headers=sent).status_code == 401


def test_a_store_that_does_not_answer_is_said_where_it_is_asked_who_comes_in(
    store: Store, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: object) -> None:
        raise StoreError("the database is locked; try again")

    sent = {"Authorization": f"Bearer {made(store, 'viewer')}"}
    monkeypatch.setattr(type(store), "token_of", locked)
    answer = client.get(f"{API}/jobs", headers=sent)
    assert (answer.status_code, answer.json()["code"]) == (503, "StoreError")
    assert "locked" in answer.json()["detail"]


def test_who_holds_a_device_is_named(store: Store, client: httpx.Client) -> None:
    sent = {"Authorization": f"Bearer {made(store, 'operator')}"}
    assert client.post(f"{API}/devices/desk/hold", json={"reason": "new fan"}, headers=sent).status_code == 200
    assert store.device_record("desk", 0.0).reason == "new fan (ann)"


def lutfarm(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"LUTFARM_HOME": str(home)}
    return subprocess.run([LUTFARM, "token", *words], env=environment, capture_output=True, text=True, timeout=120)


def test_the_command_makes_lists_and_revokes(tmp_path: Path) -> None:
    home = tmp_path / "home"
    made_ = json.loads(lutfarm(home, "create", "ann", "--role", "submitter", "--days", "1", "--json").stdout)
    assert 86_000 < made_["expires_s"] - made_["created_s"] < 87_000
    once = lutfarm(home, "create", "bob", "--role", "viewer")
    (text,) = once.stdout.split()
    listed = lutfarm(home, "list", "--json").stdout
    assert [(t["user"], t["role"]) for t in json.loads(listed)] == [("ann", "submitter"), ("bob", "viewer")]
    stored = b"".join(file.read_bytes() for file in home.glob("farm.db*"))
    for secret in (text, made_["token"]):
        assert secret not in listed
        assert secret.encode() not in stored
    assert lutfarm(home, "revoke", made_["id"]).returncode == 0
    assert json.loads(lutfarm(home, "revoke", made_["id"], "--json").stdout) == {"id": made_["id"], "revoked_now": False}
    assert json.loads(lutfarm(home, "list", "--json").stdout)[0]["revoked_s"] is not None
    wrong = lutfarm(home, "revoke", "nix")
    assert (wrong.returncode, "no token is called 'nix'" in wrong.stderr) == (2, True)
    assert lutfarm(home, "create", "a b", "--role", "viewer").returncode == 2


def test_the_store_takes_no_secret(store: Store) -> None:
    token, text = new_token("ann", "viewer", 1.0)
    with pytest.raises(SpecError, match="secret"):
        store.put_token(type(token)(token.id, token.user, token.role, text, 1.0))
