from __future__ import annotations

import pytest

from lutfarm.server.admission.requests import host_of, is_loopback, refusal
from lutfarm_jobs.errors import AccessDenied, SpecError

HOSTS = ("localhost", "127.0.0.1", "::1")
HERE = {"host": "127.0.0.1:8000"}
JSON = HERE | {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("localhost:8000", "localhost"),
        ("LOCALHOST", "localhost"),
        ("[::1]:8000", "::1"),
        ("127.0.0.1", "127.0.0.1"),
        ("farm@evil.example", "evil.example"),
        ("[::1", ""),
        ("", ""),
    ],
)
def test_a_host_has_a_name(text: str, name: str) -> None:
    assert host_of(text) == name


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_this_machine(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["10.0.0.1", "::ffff:10.0.0.1", "fe80::1", "localhost", "", "127.0.0.1.evil.example"])
def test_not_this_machine(address: str) -> None:
    assert not is_loopback(address)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "localhost@evil.example"])
def test_a_host_that_is_not_ours_is_refused(host: str) -> None:
    assert isinstance(refusal("GET", {"host": host}, HOSTS), AccessDenied)
    assert isinstance(refusal("GET", {}, HOSTS), AccessDenied)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9000", "http://127.0.0.1", "x", "http://["])
def test_a_page_of_another_site_gets_nothing(origin: str) -> None:
    assert isinstance(refusal("GET", HERE | {"origin": origin}, HOSTS), AccessDenied)
    assert isinstance(refusal("POST", JSON | {"origin": origin}, HOSTS), AccessDenied)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "whatever"])
def test_what_a_browser_says_of_another_site_is_heeded(site: str) -> None:
    assert isinstance(refusal("GET", HERE | {"sec-fetch-site": site}, HOSTS), AccessDenied)


@pytest.mark.parametrize("carried", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_what_a_page_may_send_without_asking_is_no_request(carried: str) -> None:
    assert isinstance(refusal("POST", HERE | {"content-type": carried}, HOSTS), SpecError)
    assert isinstance(refusal("PUT", HERE | {"content-type": carried}, HOSTS), SpecError)


def test_what_is_ours_is_taken() -> None:
    own = {"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"}
    assert refusal("GET", HERE, HOSTS) is None
    assert refusal("GET", HERE | own, HOSTS) is None
    assert refusal("POST", JSON, HOSTS) is None
    assert refusal("POST", JSON | {"content-type": "Application/JSON; charset=utf-8"} | own, HOSTS) is None
    assert refusal("PUT", HERE | {"content-type": "application/octet-stream"}, HOSTS) is None
    assert refusal("DELETE", HERE, HOSTS) is None
