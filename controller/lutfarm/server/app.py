"""Puts the API together."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable, Mapping

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from lutfarm.agent_pool.ray.whereabouts import Whereabouts
from lutfarm.api.root import API
from lutfarm.execution.open_farm import ExecutorKind
from lutfarm.home import Home
from lutfarm.server.admission.guard import Guard
from lutfarm.server.admission.requests import is_loopback
from lutfarm.server.admission.roles import Caller
from lutfarm.server.admission.tokens import caller_of
from lutfarm.server.api import devices, events, files, health, hosts, jobs, outcomes, runs, tables
from lutfarm.server.api import store as store_routes
from lutfarm.server.errors import ErrorAnswer, add_handlers
from lutfarm.server.host_book import HostBook
from lutfarm.server.intake.reception import Reception
from lutfarm.server.intake.uploads import Uploads
from lutfarm.server.outcomes import Outcomes
from lutfarm.server.served import Served
from lutfarm.server.settings import Settings
from lutfarm.server.streams import Streams
from lutfarm.server.tables import Tables
from lutfarm.store.interface import Store
from lutfarm_jobs.errors import FarmError

REFUSALS = (400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503, 507)


def make_app(
    store: Store,
    home: Home,
    *,
    settings: Settings,
    dispatcher_seen_s: Callable[[], float | None] = lambda: None,
    ray: Callable[[], Whereabouts | None] = lambda: None,
    executor: ExecutorKind = "local",
    host_book: HostBook | None = None,
) -> FastAPI:
    """The API over a store and a home.

    `dispatcher_seen_s`: the Unix time at which the dispatcher was seen last; `ray`: where its Ray is; `host_book`: where it is
    written down which hosts have joined.
    """
    app = FastAPI(
        title="lutfarm",
        summary="A farm that measures how long neural-network operators and models take on real devices.",
        version=importlib.metadata.version("lutfarm"),
        openapi_url=f"{API}/openapi.json",
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        responses={status: {"model": ErrorAnswer, "description": "What was seen and what to do"} for status in REFUSALS},
    )
    uploads = Uploads(home.uploads, settings.largest_file_bytes)
    reception = Reception(store, home.submitted, uploads, settings.most_waiting)
    reception.tidy()
    app.state.served = Served(
        store,
        settings,
        uploads,
        reception,
        Tables(store),
        Outcomes(store, home.submitted),
        Streams(settings.most_listeners),
        dispatcher_seen_s,
        ray,
        executor,
        host_book or HostBook(),
    )
    for part in (health, files, jobs, events, runs, tables, outcomes, devices, hosts, store_routes):
        app.include_router(part.router)

    async def who(client: str, headers: Mapping[str, str]) -> Caller | FarmError:
        local = settings.loopback and is_loopback(client)
        return await run_in_threadpool(caller_of, store, headers, time.time(), local=local)

    app.add_middleware(Guard, settings=settings, who=who)
    add_handlers(app)
    return app
