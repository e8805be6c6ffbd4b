"""Where state lives: `--home`, else `LUTFARM_HOME`, else the user's data folder."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lutfarm_jobs.errors import StoreUnwritable

SERVER, TOKEN = "LUTFARM_SERVER", "LUTFARM_TOKEN"
"""In the environment: the address of a served farm that is meant instead of a home, and what lets one in there."""


@dataclass(frozen=True, slots=True)
class Home:
    """The folders under one home."""

    path: Path

    @property
    def models(self) -> Path:
        """Model files, by content."""
        return self.path / "models"

    @property
    def agents(self) -> Path:
        """What agents on this host keep: the packed runner, local devices' folders."""
        return self.path / "agents"

    @property
    def bundles(self) -> Path:
        """Pythons with a runtime for devices that have none: see lutfarm.bundle."""
        return self.path / "bundles"

    @property
    def uploads(self) -> Path:
        """Files that were sent to a served farm, by content, until they are a day old."""
        return self.path / "uploads"

    @property
    def submitted(self) -> Path:
        """Jobs that were sent to a served farm, each in a folder of its own with its files."""
        return self.path / "submitted"


def require_writable(home: Home) -> None:
    """Raises StoreUnwritable where agents can't keep their files in it."""
    try:
        home.agents.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=home.agents):
            return
    except OSError as error:
        raise StoreUnwritable(
            f"{home.agents}: {error.strerror}; make room, make it writable, or choose another place with --home"
        ) from error


def find_home(given: Path | None = None) -> Home:
    """The home that was asked for; nothing is created."""
    if given is not None:
        return Home(given.expanduser().absolute())
    if from_environment := os.environ.get("LUTFARM_HOME"):
        return Home(Path(from_environment).expanduser().absolute())
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Home(Path(data).expanduser().absolute() / "lutfarm")
