"""Who may call what: every route with the least role that it takes.  A route that has no line here is answered 404."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lutfarm.api.root import API
from lutfarm.records.token import Role

ROLES: tuple[Role, ...] = ("viewer", "submitter", "operator", "admin")
"""Each may do what those before it may."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks; `user` is empty for whoever is at the farm's own machine."""

    user: str
    role: Role


Anybody = Literal["anybody"]

LEAST_ROLE: Mapping[tuple[str, str], Role | Anybody] = {
    ("GET", "/healthz"): "anybody",
    ("GET", "/readyz"): "anybody",
    ("GET", f"{API}/version"): "viewer",
    ("GET", f"{API}/openapi.json"): "viewer",
    ("GET", f"{API}/jobs"): "viewer",
    ("GET", f"{API}/jobs/{{job_id}}"): "viewer",
    ("GET", f"{API}/jobs/{{job_id}}/why"): "viewer",
    ("GET", f"{API}/jobs/{{job_id}}/events"): "viewer",
    ("GET", f"{API}/jobs/{{job_id}}/runs"): "viewer",
    ("GET", f"{API}/jobs/{{job_id}}/table"): "viewer",
    ("POST", f"{API}/jobs/{{job_id}}/table/predict"): "viewer",
    ("GET", f"{API}/jobs/{{job_id}}/comparison"): "viewer",
    ("GET", f"{API}/jobs/{{job_id}}/validation"): "viewer",
    ("GET", f"{API}/files/{{sha256}}"): "submitter",
    ("PUT", f"{API}/files/{{sha256}}"): "submitter",
    ("POST", f"{API}/jobs"): "submitter",
    ("POST", f"{API}/jobs/{{job_id}}/cancel"): "submitter",
    ("DELETE", f"{API}/jobs/{{job_id}}"): "submitter",
    ("GET", f"{API}/devices"): "viewer",
    ("GET", f"{API}/devices/{{name}}"): "viewer",
    ("GET", f"{API}/devices/{{name}}/history"): "viewer",
    ("POST", f"{API}/devices/{{name}}/hold"): "operator",
    ("POST", f"{API}/devices/{{name}}/release"): "operator",
    ("POST", f"{API}/store/read/{{method}}"): "viewer",
    ("POST", f"{API}/store/devices/{{method}}"): "operator",
    ("GET", f"{API}/hosts"): "viewer",
    ("POST", f"{API}/hosts/{{name}}/seen"): "operator",  # who joins may measure, and is told the token of Ray
    ("POST", f"{API}/hosts/{{name}}/leave"): "operator",
    ("POST", f"{API}/hosts/{{name}}/drain"): "operator",
    ("DELETE", f"{API}/hosts/{{name}}"): "operator",
}

TAKES_TOKEN = frozenset({("POST", f"{API}/store/devices/{{method}}"), ("POST", f"{API}/hosts/{{name}}/seen")})
"""Also of whoever is at the farm's own machine: the one names programs that are run, the other tells the token of Ray."""

_PATTERNS = {path: re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))) for _, path in LEAST_ROLE}


def least_role(method: str, path: str) -> Role | Anybody | tuple[str, ...] | None:
    """Of a request; the methods that its path takes where this is none of them, None where there is no such path."""
    taken = {known for (known, template) in LEAST_ROLE if _PATTERNS[template].fullmatch(path)}
    if not taken:
        return None
    if method not in taken:
        return tuple(sorted(taken))
    return next(role for (known, template), role in LEAST_ROLE.items() if known == method and _PATTERNS[template].fullmatch(path))


def takes_token(method: str, path: str) -> bool:
    """Whether nobody may without a token."""
    return any(known == method and _PATTERNS[template].fullmatch(path) for known, template in TAKES_TOKEN)


def may(role: Role, least: Role) -> bool:
    """Whether a role is enough."""
    return ROLES.index(role) >= ROLES.index(least)
