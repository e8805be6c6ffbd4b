"""What the routes of one server share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends, Request

from lutfarm.agent_pool.ray.whereabouts import Whereabouts
from lutfarm.execution.open_farm import ExecutorKind
from lutfarm.server.admission.roles import Caller
from lutfarm.server.host_book import HostBook
from lutfarm.server.intake.reception import Reception
from lutfarm.server.intake.uploads import Uploads
from lutfarm.server.outcomes import Outcomes
from lutfarm.server.settings import Settings
from lutfarm.server.standings import Standings
from lutfarm.server.streams import Streams
from lutfarm.server.tables import Tables
from lutfarm.server.turnstile import Turnstile
from lutfarm.store.interface import Store

MOST_STORE_STREAMS = 8  # at once: each holds one of the database's 30 connections until it is read


@dataclass(frozen=True, slots=True)
class Served:
    """The farm behind the routes."""

    store: Store
    settings: Settings
    uploads: Uploads
    reception: Reception
    tables: Tables
    outcomes: Outcomes
    streams: Streams
    dispatcher_seen_s: Callable[[], float | None]  # Unix time at which the dispatcher was seen last
    ray: Callable[[], Whereabouts | None] = lambda: None  # of the dispatcher's
    executor: ExecutorKind = "local"
    standings: Standings = field(init=False)
    hosts: HostBook = field(default_factory=HostBook)
    store_streams: Turnstile = field(
        default_factory=lambda: Turnstile("what the store streams", at_work=MOST_STORE_STREAMS, waiting=0)
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "standings", Standings(self.store))


async def _served(request: Request) -> Served:
    return cast(Served, request.app.state.served)


async def _caller(request: Request) -> Caller:
    return cast(Caller, request.state.caller)


ServedDep = Annotated[Served, Depends(_served)]
CallerDep = Annotated[Caller, Depends(_caller)]
