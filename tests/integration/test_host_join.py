"""`lutfarm host join` beside a server and a Ray that do as they are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lutfarm.agent_pool.ray.whereabouts import Versions, Whereabouts
from lutfarm.hosts.join import ThisHost, join
from lutfarm_jobs.errors import (
    AccessDenied,
    FarmError,
    NotReady,
    ServerBug,
    ServerBusy,
    ServerUnreachable,
    SpecError,
    StoreError,
    StoreUnwritable,
    TokenRefused,
    TooManyRequests,
)

HOST = ThisHost("bench", "10.0.0.7", Path("/nowhere"), ())


@dataclass
class Told:
    """A server that answers one after the other of these, then the last one for good."""

    answers: Sequence[FarmError | Whereabouts | None]
    seen: list[bool] = field(default_factory=list[bool])  # what the host said of itself
    left: int = 0

    def host_seen(self, name: str, *, session: str, address: str, versions: Versions, joined: bool) -> Whereabouts | None:
        answer = self.answers[min(len(self.seen), len(self.answers) - 1)]
        self.seen.append(joined)
        if isinstance(answer, FarmError):
            raise answer
        return answer

    def host_leaves(self, name: str, *, session: str) -> None:
        self.left += 1


def joins(server: Told, looks: int) -> list[str]:
    """What people are told while it looks so often."""
    said: list[str] = []
    join(HOST, server, ended=lambda _: len(server.seen) >= looks, tell=said.append)
    return said


@pytest.mark.parametrize("kind", [ServerUnreachable, StoreError, StoreUnwritable, ServerBug, ServerBusy, TooManyRequests])
def test_what_passes_by_itself_is_waited_for(kind: type[FarmError]) -> None:
    server = Told([kind("its disk is full"), None])
    said = joins(server, 2)
    assert said == ["waiting for the server: its disk is full", "bench: waiting until the farm's Ray has started"]
    assert server.left == 1


@pytest.mark.parametrize("kind", [SpecError, AccessDenied, TokenRefused, NotReady])
def test_what_a_person_must_mend_ends_it(kind: type[FarmError]) -> None:
    server = Told([kind("start it again with --executor ray")])
    with pytest.raises(kind, match="start it again"):
        joins(server, 2)
    assert (len(server.seen), server.left) == (1, 1)
