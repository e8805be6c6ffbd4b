"""The lock of a device without Python, as its host asks for it: a shell's answers, replayed."""

from __future__ import annotations

import base64
import json
import threading
from typing import cast

from lutfarm_agents.holder import Holder
from lutfarm_agents.session import Claim
from lutfarm_agents.testing import ReplayChannel
from lutfarm_agents.transports.base import Transport

CLAIM = Claim("desk", "host 1 2", "anna@lab", "f" * 32, 7)


def content(owner: str, holder: str) -> str:
    said = {"owner": owner, "holder": holder, "farm": "f" * 32, "token": 7, "unit": "desk"}
    said |= {"pid": 12, "pid_start": 1, "since_s": 1.0}
    return f"content {base64.b64encode(json.dumps(said).encode()).decode()}"


def taking(*answers: str) -> tuple[list[str], list[str]]:
    """Who was waited for once, and what was asked; the host is cancelled then."""
    channel = ReplayChannel(["holder 12 34", *answers])
    holder = Holder(channel, cast("Transport", None), "desk", "/tmp/lock")
    cancelled = threading.Event()
    waited: list[str] = []
    for who in holder.take(CLAIM, cancelled):
        waited.append(who)
        cancelled.set()
    holder.close()
    return waited, [line.split()[0] for line in channel.sent if not line.startswith("keep")]


def test_a_session_of_the_same_owner_is_joined() -> None:
    mine = content("host 1 2", "anna@lab")
    assert taking("held", mine, "joined", mine) == ([], ["take", "show", "join", "show"])


def test_who_came_in_while_it_was_joined_has_it() -> None:
    """The owner's last session may end, and another's begin, between looking and joining."""
    mine, other = content("host 1 2", "anna@lab"), content("host 9 9", "bert")
    assert taking("held", mine, "joined", other, "left") == (["anna@lab"], ["take", "show", "join", "show", "leave"])
