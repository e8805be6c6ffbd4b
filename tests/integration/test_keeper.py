"""What keeps a dispatcher running, with a dispatcher that does as it is told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests import pool_kit as kit

from lutfarm.home import Home
from lutfarm.server import keeper as keeping
from lutfarm.server.dispatcher import RAY_FILE
from lutfarm.server.keeper import Keeper


def test_a_dispatcher_that_died_leaves_no_word_of_its_ray(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hosts that ask before there is another one would try to join a Ray that is gone."""
    dispatcher = tmp_path / "dispatcher"
    whereabouts = '{"address": "10.0.0.1:6379", "token": "a"}'
    dispatcher.write_text(f"#!/bin/sh\ncd '{tmp_path}'\necho '{whereabouts}' > {RAY_FILE}\ncp {RAY_FILE} ran\nkill -KILL $$\n")
    dispatcher.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(dispatcher))
    for name in ("PAUSE_S", "PAUSE_MOST_S"):
        monkeypatch.setattr(keeping, name, 3600.0)
    with Keeper(tmp_path / "store", Home(tmp_path / "home"), "ray") as keeper:
        kit.until((tmp_path / "ran").exists, "it never ran")
        kit.until(lambda: keeper.ray is None, "the file stayed")
