"""What a host asks of a farm's server, over HTTP."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import httpx

from lutfarm.agent_pool.ray.whereabouts import Versions, Whereabouts
from lutfarm.store.rpc.frames import load_error
from lutfarm_jobs.errors import NotReady, ServerUnreachable

ANSWER_S = 20.0


@dataclass(frozen=True, slots=True)
class FarmServer:
    """`client`: its base address is that of the server, its headers let it in."""

    client: httpx.Client

    def host_seen(self, name: str, *, session: str, address: str, versions: Versions, joined: bool) -> Whereabouts | None:
        """It is there; where the farm's Ray is, None while there is none.  Raises FarmError."""
        said = {"session": session, "address": address, "joined": joined, **asdict(versions)}
        answer = self._post(f"/api/v1/hosts/{name}/seen", said)
        if answer["executor"] != "ray":
            raise NotReady("the server measures without Ray, so no host can join it: start it again with --executor ray")
        ray = answer["ray"]
        return None if ray is None else Whereabouts(str(ray["address"]), str(ray["token"]))

    def host_leaves(self, name: str, *, session: str) -> None:
        """It ends."""
        self._post(f"/api/v1/hosts/{name}/leave", {"session": session})

    def _post(self, path: str, said: object) -> dict[str, Any]:
        try:
            response = self.client.post(path, json=said, timeout=ANSWER_S)
        except httpx.HTTPError as error:
            raise ServerUnreachable(f"{self.client.base_url}: {error or type(error).__name__}") from error
        if not response.is_success:
            raise load_error(response.content)
        return response.json() if response.content else {}
