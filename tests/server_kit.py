"""A server of the tests' own, on a Unix socket or a port of this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from lutfarm.server.patient_http import PatientHttp

API = "/api/v1"
HIDDEN = {("GET", f"{API}/openapi.json"), ("POST", f"{API}/store/read/{{method}}"), ("POST", f"{API}/store/devices/{{method}}")}
"""Routes that the description of the API does not tell of: itself, and what only lutfarm's own commands ask."""


@contextmanager
def served(app: Any, *, socket: Path | None = None) -> Iterator[str]:
    """The app, served until the block ends; where: its base address, empty on a socket."""
    config = uvicorn.Config(
        app, uds=str(socket) if socket else None, port=0, http=PatientHttp, ws="none", log_level="warning", lifespan="off"
    )
    ready = threading.Event()

    class Started(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            ready.set()

    server = Started(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert ready.wait(60)
        ports = [held.getsockname()[1] for each in server.servers for held in each.sockets] if socket is None else []
        yield f"http://127.0.0.1:{ports[0]}" if ports else ""
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


@contextmanager
def client_of(app: Any, token: str = "") -> Iterator[httpx.Client]:
    """A client of the app, which is served until the block ends."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with served(app) as address, httpx.Client(base_url=address, headers=headers, timeout=60) as client:
        yield client
