"""What a host asks of a farm's server, over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from pydantic import ValidationError

from lutfarm.agent_pool.ray.whereabouts import Versions, Whereabouts
from lutfarm.api.hosts import LeavingRequest, SeenAnswer, SeenRequest
from lutfarm.client.link import Link
from lutfarm_jobs.errors import NotReady, SpecError

ANSWERS_S = 10.0  # the server answers a host within this, or the way to it is cut and another one is tried


@dataclass(frozen=True, slots=True)
class FarmServer:
    """At the end of a link."""

    link: Link

    def host_seen(self, name: str, *, session: str, address: str, versions: Versions, joined: bool) -> Whereabouts | None:
        """It is there; where the farm's Ray is, None while there is none.  Raises FarmError."""
        try:
            said = SeenRequest(
                session=session,
                address=address,
                lutfarm=versions.lutfarm,
                ray=versions.ray,
                python=versions.python,
                joined=joined,
            )
        except ValidationError as error:
            raise SpecError(f"{address[:100]!r} is no address of a host") from error
        answer = self.link.send("POST", f"/hosts/{quote(name, safe='')}/seen", SeenAnswer, said)
        if answer.executor != "ray":
            raise NotReady("the server measures without Ray, so no host can join it: start it again with --executor ray")
        return Whereabouts(answer.ray.address, answer.ray.token) if answer.ray else None

    def host_leaves(self, name: str, *, session: str) -> None:
        """It ends."""
        self.link.tell("POST", f"/hosts/{quote(name, safe='')}/leave", LeavingRequest(session=session))
