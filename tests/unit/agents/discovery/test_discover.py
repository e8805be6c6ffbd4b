"""What a phone that does not let us in is listed as: by the class of the error, whatever its words are."""

from __future__ import annotations

from pathlib import Path

import pytest

from lutfarm_agents.discovery import discover as found
from lutfarm_jobs.errors import ConnectFailed, FarmError, LinkLost, NotReady, Unauthorized


@pytest.mark.parametrize(
    ("error", "state", "named"),
    [
        (Unauthorized("p is locked: press Allow"), "unauthorized", "p is locked: press Allow"),
        (NotReady("its shell says unauthorized"), "unknown", "see docs/phones.md"),
        (LinkLost("gone"), "unknown", "see docs/phones.md"),
        (ConnectFailed("no answer"), "offline", "see that it is on"),
    ],
)
def test_a_phone_that_does_not_let_us_in(monkeypatch: pytest.MonkeyPatch, error: FarmError, state: str, named: str) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(found, "gather", refuse)
    monkeypatch.setattr(found, "usb_serials", lambda: ["p"])
    monkeypatch.setattr(found, "_server_phones", list)
    (phone,) = found.discover([], keys=Path("/nowhere"))
    assert (phone.transport, phone.address, phone.state) == ("adb", "p", state)
    assert error.detail in phone.detail
    assert named in phone.detail
