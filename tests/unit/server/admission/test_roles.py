from __future__ import annotations

import pytest

from lutfarm.api.root import API
from lutfarm.server.admission.roles import LEAST_ROLE, ROLES, TAKES_TOKEN, least_role, may, takes_token


def test_each_role_may_what_those_before_it_may() -> None:
    for at, role in enumerate(ROLES):
        assert [least for least in ROLES if may(role, least)] == list(ROLES[: at + 1])


def test_a_route_is_found_by_its_path() -> None:
    assert least_role("GET", f"{API}/jobs/fbnet-0123456789/why") == "viewer"
    assert least_role("POST", f"{API}/devices/pixel-6/hold") == "operator"


def test_what_takes_a_token_of_everybody_is_a_route_of_operators() -> None:
    assert {LEAST_ROLE[route] for route in TAKES_TOKEN} == {"operator"}
    assert takes_token("POST", f"{API}/hosts/bench/seen")
    assert takes_token("POST", f"{API}/store/devices/put_device")
    assert not takes_token("POST", f"{API}/store/read/devices")
    assert not takes_token("GET", f"{API}/hosts")


def test_only_health_is_for_anybody() -> None:
    assert {path for (_, path), role in LEAST_ROLE.items() if role == "anybody"} == {"/healthz", "/readyz"}


def test_what_only_looks_is_for_viewers_and_nothing_else_is() -> None:
    for (method, path), role in LEAST_ROLE.items():
        looks = method == "GET" or path.endswith(("/predict", "/store/read/{method}"))
        sends = path.startswith(f"{API}/files/")  # whether the farm has a file is for whoever would send it
        assert (role in ("viewer", "anybody")) == (looks and not sends), (method, path)


@pytest.mark.parametrize("path", ["/", "/api/v1", f"{API}/jobs/", f"{API}/jobs/a/b/c", f"{API}/jobs/a/why/", "/healthz/x", ""])
def test_a_path_that_has_no_line_is_none(path: str) -> None:
    assert least_role("GET", path) is None


def test_another_method_is_told_what_is_taken() -> None:
    assert least_role("DELETE", f"{API}/devices/x/hold") == ("POST",)
    assert least_role("HEAD", "/healthz") == ("GET",)
