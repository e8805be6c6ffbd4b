"""A machine that devices hang on, and that has joined a served farm."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HostSeen:
    """What a host says of itself every few seconds; `session` tells two processes that use one name apart."""

    name: str
    session: str
    address: str  # under which the other machines of the farm reach it
    lutfarm: str  # versions
    ray: str
    python: str
    seen_s: float  # Unix time
    joined: bool = False  # its Ray node runs
