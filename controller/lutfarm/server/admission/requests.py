"""What a request must be before anything of it is read: its Host, where it comes from, what it says that it carries.  Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from lutfarm_jobs.errors import AccessDenied, FarmError, SpecError

CARRIES: Mapping[str, str] = {"POST": "application/json", "PUT": "application/octet-stream"}
"""By method: the one content type that is taken.  A page of another site can send neither without asking first."""


def host_of(text: str) -> str:
    """The name in a Host header, without its port and in lower case; empty where it is none."""
    try:
        return urlsplit(f"//{text}").hostname or ""
    except ValueError:
        return ""


def _netloc_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def is_loopback(address: str) -> bool:
    """Whether a client's address is this machine's own; False for what is no address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


def refusal(method: str, headers: Mapping[str, str], hosts: Collection[str]) -> FarmError | None:
    """Why a request isn't taken, whoever sends it.  `headers` by name in lower case."""
    host = headers.get("host", "")
    if host_of(host) not in hosts:
        return AccessDenied(f"this server is not called {host[:100]!r}; name it in `lutfarm serve --name`")
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return AccessDenied("a page of another site asked for this; open the farm's own address")
    origin = headers.get("origin")
    if origin is not None and _netloc_of(origin) != host.lower():
        return AccessDenied(f"a page of {origin[:100]!r} asked for this; open the farm's own address")
    wanted = CARRIES.get(method)
    carried = headers.get("content-type", "").partition(";")[0].strip().lower()
    if wanted is not None and carried != wanted:
        return SpecError(f"the content type {carried[:80]!r} is not taken here; send {wanted}")
    return None
