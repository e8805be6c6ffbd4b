"""What is said about hosts: by them, and of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

Text = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\x21-\x7e]+$")]


class HostAnswer(BaseModel):
    """A host and its devices.  Times are Unix times."""

    name: str
    address: str
    state: Literal["joined", "joining", "lost"]
    lutfarm: str
    ray: str
    python: str
    seen_s: float
    devices: list[str]


class SeenRequest(BaseModel):
    """What a host says of itself."""

    session: Text
    address: Text
    lutfarm: Text
    ray: Text
    python: Text
    joined: bool = False


class RayAnswer(BaseModel):
    """Where the farm's Ray is, and what lets the host in there."""

    address: str
    token: str


class SeenAnswer(BaseModel):
    """`ray`: null while the farm has none: it measures without Ray, or is starting."""

    ray: RayAnswer | None
    executor: Literal["ray", "local"]


class LeavingRequest(BaseModel):
    """Which process ends."""

    session: Text


class DrainAnswer(BaseModel):
    """The devices that were taken out of work."""

    held: list[str]
