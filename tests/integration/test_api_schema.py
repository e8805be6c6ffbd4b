"""Every route with requests made from its own description, good ones and bad ones: none is a server's error."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from tests import store_kit as kit
from tests.server_kit import HIDDEN, served

from lutfarm.api.root import API
from lutfarm.home import Home
from lutfarm.records.token import Token
from lutfarm.server.admission.roles import LEAST_ROLE
from lutfarm.server.admission.tokens import digest
from lutfarm.server.app import make_app
from lutfarm.server.settings import Settings
from lutfarm.store import open_store
from lutfarm_jobs.errors import class_of

EXAMPLES = 15  # of each route: half a minute all together
TOKEN = "an admin's, of these tests alone"
KNOWN: dict[str, list[str]] = {
    "job_id": ["job-1", "job", "nix", "later"],
    "name": ["desk", "nix"],
    "sha256": ["0" * 64, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
}
ROUTES = sorted(set(LEAST_ROLE) - HIDDEN)
ASKED = [
    (mode, method, path)
    for method, path in ROUTES
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    if mode is GenerationMode.POSITIVE or path not in ("/healthz", "/readyz", f"{API}/version")  # which take nothing
]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    home = Home(tmp_path_factory.mktemp("home"))
    with open_store(home.path) as store:
        kit.fill_measured(store)
        store.open_job(kit.JOB.__class__("later-1", "later", "{}", 1.0, "queued"), kit.PLAN)
        store.put_token(Token("t-1", "ann", "admin", digest(TOKEN), 1.0))
        yield make_app(store, home, settings=Settings(requests_per_s=1e6, burst=10**9, longest_events_s=0.1))


@pytest.fixture(scope="module")
def address(app: FastAPI) -> Iterator[str]:
    with served(app) as found:
        yield found


def described(app: FastAPI) -> Any:
    """The description, with names that there are among those that there are not."""
    content: dict[str, Any] = copy.deepcopy(app.openapi())
    for path in content["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path":
                    parameter["schema"] = {"type": "string", "enum": KNOWN[parameter["name"]]}
    return schemathesis.openapi.from_dict(content)


@pytest.mark.parametrize(("mode", "method", "path"), ASKED)
def test_no_request_is_a_servers_error(app: FastAPI, address: str, mode: GenerationMode, method: str, path: str) -> None:
    operation = described(app)[path][method]

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def asked(data: st.DataObject) -> None:
        case = data.draw(operation.as_strategy(generation_mode=mode))
        answer = case.call(base_url=address, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60)
        not_a_server_error_but_unready(case, answer, path)
        if answer.status_code >= 400 and path != "/readyz":
            content = json.loads(answer.content)
            assert content.keys() == {"code", "detail"}
            assert class_of(content["code"]) is not None
            assert "Traceback" not in content["detail"]
        else:
            case.validate_response(answer, checks=[schemathesis.checks.response_schema_conformance])

    asked()


def not_a_server_error_but_unready(case: Any, answer: Any, path: str) -> None:
    if path != "/readyz":
        case.validate_response(answer, checks=[not_a_server_error])


def test_the_description_is_whole(app: FastAPI) -> None:
    content = app.openapi()
    for path, methods in content["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            assert operation["description"], (method, path)
            assert {"401", "403", "404", "422", "429"} <= operation["responses"].keys(), (method, path)
    assert json.loads(json.dumps(content)) == content
    assert len({operation["operationId"] for methods in content["paths"].values() for operation in methods.values()}) == sum(
        map(len, content["paths"].values())
    )
